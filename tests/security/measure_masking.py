"""How often masking changes a text without secrets: ``python tests/security/measure_masking.py [samples]``.

The samples are random values of the kinds that logs are full of, each in a short sentence, from one seed: the
same numbers on every machine. Printed is the share that came out changed, by kind.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from chassis.masking import Masker

SEED = 20_261_120
SAMPLES = 100_000

_START = datetime(2020, 1, 1, tzinfo=UTC)
_WORDS = ("user", "order", "job", "cache", "page", "request", "item", "batch", "queue", "host", "commit")

Kind = Callable[[Random], str]


def _hash(random: Random) -> str:
    bits = random.choice([128, 160, 256])
    return f"{random.getrandbits(bits):0{bits // 4}x}"


def _trace_context(random: Random) -> str:
    return f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-01"


def _moment(random: Random) -> datetime:
    return _START + timedelta(microseconds=random.randrange(10 * 365 * 86_400 * 10**6))


def _timestamp(random: Random) -> str:
    precision = random.choice(["seconds", "milliseconds", "microseconds"])
    return _moment(random).isoformat(sep=random.choice("T "), timespec=precision)


def _epoch(random: Random) -> str:
    return str(int(_moment(random).timestamp() * 1e9) // random.choice([1, 10**3, 10**6, 10**9]))


def _version(random: Random) -> str:
    return ".".join(str(random.randrange(200)) for _ in range(random.choice([2, 3, 3, 4])))


def _price(random: Random) -> str:
    return f"{random.choice(['$', 'EUR ', ''])}{random.randrange(10**8) / 100:,.2f}"


def _duration(random: Random) -> str:
    return f"{random.expovariate(0.1)} {random.choice(['s', 'ms'])}"


def _lettered_order(random: Random) -> str:
    prefix = random.choice(["ORD", "INV", "PO", "T"])
    return f"{prefix}-{random.randrange(2000, 2030)}-{random.randrange(10**7):07d}"


def _grouped_order(random: Random) -> str:
    return f"{random.randrange(1000):03d}-{random.randrange(10**7):07d}-{random.randrange(10**7):07d}"


def _snowflake(random: Random) -> str:
    since = int(_moment(random).timestamp() * 1000) - 1_288_834_974_657
    return str((since << 22) + random.getrandbits(22))


def _path(random: Random) -> str:
    number, page = random.randrange(10**6), random.randrange(99)
    return f"/{random.choice(_WORDS)}s/{number}/{random.choice(_WORDS)}?page={page}&size=50"


KINDS: dict[str, Kind] = {
    "UUID": lambda random: str(UUID(int=random.getrandbits(128), version=4)),
    "hash (MD5, SHA-1, SHA-256)": _hash,
    "short commit id": lambda random: f"{random.getrandbits(28):07x}",
    "trace context": _trace_context,
    "timestamp": _timestamp,
    "epoch (s, ms, us, ns)": _epoch,
    "version": _version,
    "price": _price,
    "duration": _duration,
    "fraction": lambda random: repr(random.random()),
    "order number, up to 12 digits": lambda random: str(random.randrange(10 ** random.randrange(5, 13))),
    "order number with letters": _lettered_order,
    "order number in groups (3-7-7)": _grouped_order,
    "snowflake id (18 or 19 digits)": _snowflake,
    "random 16 digits": lambda random: str(random.randrange(10**15, 10**16)),
    "path with ids": _path,
}


def rates(samples: int = SAMPLES, seed: int = SEED) -> dict[str, float]:
    """Return the share of changed texts by kind, and over all kinds as ``all``."""
    masker = Masker()
    changed = dict.fromkeys(KINDS, 0)
    for kind, make in KINDS.items():
        random = Random(f"{seed} {kind}")  # samples, not secrets
        for _ in range(samples):
            text = f"{random.choice(_WORDS)} {make(random)} {random.choice(_WORDS)}"
            changed[kind] += masker.text(text) != text
    total = sum(changed.values()) / (samples * len(KINDS))
    return {**{kind: count / samples for kind, count in changed.items()}, "all": total}


if __name__ == "__main__":
    for name, rate in rates(int(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES).items():
        sys.stdout.write(f"{name:35} {rate:9.4%}\n")
