from fractions import Fraction
from math import ceil, floor

from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.bundle import Environment
from chassis.ratelimit import Decision, MemoryRateLimiter, Quota, RateLimitSettings
from chassis.service_settings import ServiceSettings

QUOTA = Quota(10, 60)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def spend(limiter: MemoryRateLimiter, key: str, times: int, quota: Quota = QUOTA) -> int:
    return sum([(await limiter.hit(key, quota)).allowed for _ in range(times)])


async def test_a_client_may_send_its_whole_quota_at_once_and_no_more() -> None:
    limiter = MemoryRateLimiter(clock=Clock())

    decisions = [await limiter.hit("a", QUOTA) for _ in range(11)]

    assert decisions[0] == Decision(allowed=True, limit=10, remaining=9, reset_after=6, retry_after=0)
    assert decisions[9] == Decision(allowed=True, limit=10, remaining=0, reset_after=60, retry_after=0)
    assert decisions[10] == Decision(allowed=False, limit=10, remaining=0, reset_after=60, retry_after=6)


async def test_quotas_that_take_turns_are_counted_apart() -> None:
    limiter = MemoryRateLimiter(clock=Clock())
    other = Quota(10, 60, "other")

    remaining = [limiter.hit_now("a", quota).remaining for quota in (QUOTA, other, QUOTA, Quota(10, 60))]

    assert remaining == [9, 9, 8, 7]


async def test_one_request_is_free_again_after_its_share_of_the_window() -> None:
    clock = Clock()
    limiter = MemoryRateLimiter(clock=clock)
    await spend(limiter, "a", 10)

    clock.now += 5.5
    refused = await limiter.hit("a", QUOTA)
    clock.now += 0.5

    assert refused == Decision(allowed=False, limit=10, remaining=0, reset_after=55, retry_after=1)
    assert await spend(limiter, "a", 2) == 1


async def test_there_is_no_window_boundary_with_twice_the_quota() -> None:
    clock = Clock()
    limiter = MemoryRateLimiter(clock=clock)
    clock.now = 1_019.9  # a fixed window of a minute would end at 1020

    sent = await spend(limiter, "a", 20)
    clock.now = 1_020.1

    assert sent + await spend(limiter, "a", 20) == 10


async def test_clients_do_not_share_a_quota() -> None:
    limiter = MemoryRateLimiter(clock=Clock())

    assert await spend(limiter, "a", 20) == await spend(limiter, "b", 20) == 10


async def test_each_limiter_counts_for_itself() -> None:
    clock = Clock()
    workers = [MemoryRateLimiter(clock=clock) for _ in range(4 * 3)]

    assert sum([await spend(worker, "a", 20) for worker in workers]) == 12 * 10


async def test_a_client_is_one_number_when_its_quota_is_full_again() -> None:
    clock = Clock()
    limiter = MemoryRateLimiter(clock=clock)
    await spend(limiter, "a", 3)

    assert limiter._tables[QUOTA].arrivals == {"a": (clock.now + 3 * 6) * 10**9}


async def test_quotas_of_different_names_are_counted_apart() -> None:
    limiter = MemoryRateLimiter(clock=Clock())

    assert await spend(limiter, "a", 20, Quota(10, 60, "x")) == 10
    assert await spend(limiter, "a", 20, Quota(10, 60, "y")) == 10


async def test_the_real_clock_is_the_default() -> None:
    assert await spend(MemoryRateLimiter(), "a", 20, Quota(10, 86_400)) == 10


class Naive:
    """The definition, in exact fractions: a bucket of ``requests`` that refills at a constant rate."""

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self.level: dict[str, tuple[Fraction, Fraction]] = {}

    def hit(self, key: str, now: Fraction) -> Decision:
        requests, window = self.quota.requests, self.quota.window
        level, since = self.level.get(key, (Fraction(requests), now))
        level = min(Fraction(requests), level + (now - since) * requests / window)
        allowed = level >= 1
        if allowed:
            level -= 1
        self.level[key] = (level, now)
        per_request = Fraction(window, requests)
        return Decision(
            allowed,
            requests,
            floor(level) if allowed else 0,
            ceil((requests - level) * per_request),
            0 if allowed else ceil((1 - level) * per_request),
        )


@settings(max_examples=200)
@given(
    st.sampled_from(
        [Quota(1, 1), Quota(1, 60), Quota(2, 1), Quota(10, 60), Quota(8, 2), Quota(5, 5), Quota(100, 50)]
    ),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4_000)), max_size=60),
)
async def test_it_decides_as_the_definition_does(quota: Quota, hits: list[tuple[str, int]]) -> None:
    clock, naive = Clock(), Naive(quota)
    limiter = MemoryRateLimiter(clock=clock)
    sixty_fourths = 64_000

    for key, pause in hits:
        sixty_fourths += pause
        clock.now = sixty_fourths / 64  # exact in binary, and in nanoseconds
        assert await limiter.hit(key, quota) == naive.hit(key, Fraction(sixty_fourths, 64))


@settings(max_examples=50)
@given(
    st.integers(1, 50),
    st.integers(1, 50),
    st.lists(st.floats(0, 20, allow_nan=False), min_size=1, max_size=100),
)
async def test_no_stretch_of_time_allows_more_than_the_burst_and_the_rate(
    requests: int, window: int, pauses: list[float]
) -> None:
    quota, clock = Quota(requests, window), Clock()
    limiter = MemoryRateLimiter(clock=clock)
    allowed: list[float] = []

    for pause in pauses:
        clock.now += pause
        allowed.extend([clock.now] * await spend(limiter, "a", requests + 1, quota))

    for first, start in enumerate(allowed):
        for last in range(first, len(allowed)):
            most = requests + (allowed[last] - start) * requests / window
            assert last - first + 1 <= most + 1e-6


async def test_memory_is_bounded_under_a_flood_of_keys() -> None:
    limiter = MemoryRateLimiter(max_keys=1_000, clock=Clock())

    for number in range(100_000):
        await limiter.hit(str(number), QUOTA)

    table = limiter._tables[QUOTA]
    assert len(limiter) == 1_000
    assert sum(map(len, table.buckets.values())) == 1_000


async def test_memory_is_bounded_for_each_quota() -> None:
    limiter = MemoryRateLimiter(max_keys=10, clock=Clock())

    for number in range(100):
        for quota in (QUOTA, Quota(10, 60, "other")):
            await limiter.hit(str(number), quota)

    assert len(limiter) == 20


async def test_the_bound_of_a_service_is_that_of_its_settings() -> None:
    settings = RateLimitSettings(max_keys=3)
    limiter = Environment(ServiceSettings(rate_limiting=settings)).limiter
    assert isinstance(limiter, MemoryRateLimiter)

    for number in range(10):
        await limiter.hit(str(number), QUOTA)

    assert len(limiter) == 3


async def test_a_flood_of_keys_frees_no_client_that_used_its_quota() -> None:
    clock = Clock()
    limiter = MemoryRateLimiter(max_keys=1_000, clock=clock)
    await spend(limiter, "abuser", 10)

    for number in range(20_000):
        clock.now += 0.001
        await limiter.hit(str(number), QUOTA)

    # 20 seconds passed: three requests are free again, and no more.
    assert await spend(limiter, "abuser", 10) == 3


async def test_a_flood_of_used_keys_is_needed_to_free_one() -> None:
    limiter = MemoryRateLimiter(max_keys=100, clock=Clock())
    await spend(limiter, "abuser", 5)

    for number in range(1_000):
        await spend(limiter, str(number), 2)

    assert await spend(limiter, "abuser", 10) == 5


async def test_all_other_places_must_be_taken_by_keys_as_used_to_free_one() -> None:
    limiter = MemoryRateLimiter(max_keys=10, clock=Clock())
    await spend(limiter, "abuser", 5)
    for number in range(8):
        await spend(limiter, f"as used {number}", 10)

    for number in range(100):
        await spend(limiter, str(number), 1)

    assert await spend(limiter, "abuser", 20) == 5


async def test_entries_that_say_nothing_any_more_are_dropped_as_requests_come() -> None:
    clock = Clock()
    limiter = MemoryRateLimiter(clock=clock)
    for number in range(1_000):
        await limiter.hit(str(number), QUOTA)

    clock.now += 120
    await limiter.hit("a", QUOTA)
    assert 990 < len(limiter) < 1_001
    for _ in range(500):
        await limiter.hit("a", QUOTA)

    assert len(limiter) == 1


async def test_a_client_in_use_is_not_dropped() -> None:
    clock = Clock()
    limiter = MemoryRateLimiter(clock=clock)
    sent = 0

    for _ in range(1_000):
        clock.now += 0.5
        sent += (await limiter.hit("a", QUOTA)).allowed

    assert sent == 10 + 999 * 0.5 // 6
    assert len(limiter) == 1


@settings(max_examples=100)
@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12), st.floats(0, 30)), max_size=150),
)
async def test_the_bookkeeping_holds_under_any_traffic(
    max_keys: int, traffic: list[tuple[int, int, float]]
) -> None:
    clock = Clock()
    limiter = MemoryRateLimiter(max_keys=max_keys, clock=clock)

    for key, times, pause in traffic:
        clock.now += pause
        await spend(limiter, str(key), times)
        table = limiter._tables[QUOTA]
        placed = [key for bucket in table.buckets.values() for key in bucket]
        assert len(table.arrivals) <= max_keys
        assert sorted(placed) == sorted(table.arrivals)
        assert all(
            number <= table.arrivals[key] // table.width
            for number, bucket in table.buckets.items()
            for key in bucket
        )
        assert len(table.buckets) <= 70
