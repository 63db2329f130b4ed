"""The image, built by a real engine from a render and its lock, and run as production would."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

pytestmark = [pytest.mark.ops, pytest.mark.timeout(900)]

SECRET = "machine index.example.com login me password 5ecret-of-the-index"
CLIENTS = 8
# Longer than a load balancer needs to see the failing readiness.
DRAIN_DELAY = 0.5

# What a newcomer writes, and what works.
PLAINEST = """\
FROM {python}
COPY --from={uv} /uv /usr/local/bin/
WORKDIR /app
COPY . .
RUN uv sync --locked --no-default-groups
CMD [".venv/bin/python", "-m", "orders"]
"""


@pytest.fixture(scope="module")
def service(
    render: Callable[..., Path], check: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A service with a database, locked, and with files around it that belong in no image."""
    folder = tmp_path_factory.mktemp("image") / "orders"
    shutil.copytree(render(bundles=["database"]), folder)
    check("uv", "lock", "--quiet", cwd=folder)
    (folder / ".env").write_text("DATABASE_URL=5ecret-of-the-env\n", encoding="utf-8")
    (folder / "src" / "orders" / ".env.local").write_text("X=5ecret-of-the-env\n", encoding="utf-8")
    (folder / "data").mkdir()
    (folder / "data" / "service.db").write_text("5ecret-of-the-data", encoding="utf-8")
    (folder / "netrc").write_text(SECRET, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def image(engine: Any, service: Path) -> str:
    """The service's image, built once."""
    engine.make_base_of(service / "Dockerfile")
    engine.build(
        service,
        "orders:first",
        *("--secret", f"id=netrc,src={service}/netrc"),
        *("--build-arg", "VERSION=1.2.3", "--build-arg", "REVISION=abc", "--build-arg", "SOURCE=here"),
    )
    return "orders:first"


@pytest.fixture
def run(engine: Any, image: str, free_port: Callable[[], int]) -> Iterator[Callable[..., tuple[str, str]]]:
    """Run the image read-only and with no capabilities; returns the container and its URL."""
    started: list[str] = []

    def running(*arguments: str, **variables: str) -> tuple[str, str]:
        port = free_port()
        settings = {"PORT": str(port), "DATABASE_URL": "sqlite:////tmp/service.db"} | variables
        container = engine.run(
            *("run", "--detach", "--network=host", "--read-only", "--tmpfs=/tmp"),
            *("--cap-drop=ALL", "--security-opt=no-new-privileges"),
            *(f"--env={name}={value}" for name, value in settings.items()),
            *arguments,
            image,
        ).stdout.strip()
        started.append(container)
        return container, f"http://127.0.0.1:{port}"

    yield running
    for container in started:
        engine.run("rm", "--force", "--volumes", container, check=False)


def test_it_becomes_healthy_read_only_and_without_capabilities(
    engine: Any, run: Callable[..., tuple[str, str]]
) -> None:
    container, url = run()
    engine.wait_until_healthy(container)
    created = httpx2.post(f"{url}/items", json={"name": "Desk lamp"})
    assert created.status_code == 201
    status = engine.run("exec", container, "python", "-c", "print(open('/proc/1/status').read())").stdout
    facts = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    assert facts["Uid"].split() == facts["Gid"].split() == ["10001"] * 4
    assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) == 0
    refused = engine.run("exec", container, "python", "-c", "open('/app/x', 'w')", check=False)
    assert "Read-only file system" in refused.stdout


def test_workers_need_nothing_more(engine: Any, run: Callable[..., tuple[str, str]]) -> None:
    container, url = run(WORKERS="2")
    engine.wait_until_healthy(container)
    assert "service_build_info" in httpx2.get(f"{url}/metrics").text


async def test_sigterm_under_load_loses_no_request(
    engine: Any, run: Callable[..., tuple[str, str]], image: str
) -> None:
    container, url = run(DRAIN_DELAY=str(DRAIN_DELAY), RATE_LIMITING_ENABLED="false")
    await asyncio.to_thread(engine.wait_until_healthy, container)
    answered: list[int] = []
    lost: list[str] = []
    busy, leaving = asyncio.Event(), asyncio.Event()

    async def client(*, fresh_connections: bool) -> None:
        limits = httpx2.Limits(max_keepalive_connections=0 if fresh_connections else 1)
        async with httpx2.AsyncClient(base_url=url, limits=limits, timeout=10) as http:
            while not leaving.is_set():
                try:
                    answered.append((await http.get("/items")).status_code)
                except httpx2.TransportError as error:
                    lost.append(repr(error))
                if len(answered) > 20 * CLIENTS:
                    busy.set()

    async def load_balancer() -> None:
        async with httpx2.AsyncClient(base_url=url, timeout=10) as http:
            while (await http.get("/health/ready", headers={"connection": "close"})).status_code == 200:
                pass
        leaving.set()

    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(client(fresh_connections=number % 2 == 0))
        await busy.wait()
        balancer = group.create_task(load_balancer())
        await asyncio.to_thread(engine.run, "kill", "--signal=TERM", container)
        await balancer
    code = (await asyncio.to_thread(engine.run, "wait", container)).stdout.strip()
    assert code == "0"
    assert lost == []
    assert set(answered) == {200}


def test_the_health_check_fails_when_nobody_answers(engine: Any, image: str) -> None:
    command = engine.inspect(image)["Config"]["Healthcheck"]["Test"]
    assert command[0] == "CMD"
    done = engine.run("run", "--rm", "--network=none", image, *command[1:], check=False)
    assert done.returncode == 1


def test_migrations_run_from_the_image(engine: Any, image: str) -> None:
    upgraded = engine.run(
        *("run", "--rm", "--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL"),
        *("--env=DATABASE_URL=sqlite:////tmp/service.db", "--env=LOG_FORMAT=json", image),
        *("python", "-m", "chassis.bundles.database", "upgrade"),
    )
    assert "migration_applied" in upgraded.stdout


def test_no_installer_compiler_or_secret_is_left(engine: Any, image: str) -> None:
    tools = "uv uvx pip pip3 gcc cc make git curl wget"
    assert engine.inside(image, f"for tool in {tools}; do command -v $tool || :; done") == ""
    names = " -o ".join(f"-name {name}" for name in ("ensurepip", "pip", "pip-*", "pip[0-9]*", ".netrc"))
    assert engine.inside(image, f"set -f; find /usr/local /app /root {names}") == ""
    assert engine.inside(image, "grep -rl 5ecret-of- /app /root /tmp /etc /run /var || :") == ""
    assert engine.inside(image, "find / -xdev -name '.env*' -o -xdev -name '*.db' -path '*/app/*'") == ""
    history = engine.run("history", "--no-trunc", image).stdout
    assert "5ecret-of-" not in history


def test_every_module_is_compiled_and_nothing_is_writable(engine: Any, image: str) -> None:
    listing = engine.inside(image, "find /app -name '*.py' -o -name '*.pyc'").split()
    compiled = {
        Path(name).parent.parent / Path(name).name.split(".")[0] for name in listing if ".pyc" in name
    }
    sources = {Path(name).with_suffix("") for name in listing if name.endswith(".py")}
    packages = {source for source in sources if {"site-packages", "service"} & set(source.parts)}
    assert len(packages) > 1000
    assert packages - compiled == set()
    assert engine.inside(image, "find /app ! -user root -o ! -type l -perm /022") == ""


def test_labels_say_what_it_is(engine: Any, image: str) -> None:
    prefix = "org.opencontainers.image."
    labels = engine.inspect(image)["Config"]["Labels"]
    found = {name.removeprefix(prefix): value for name, value in labels.items() if name.startswith(prefix)}
    assert found["title"] == "orders"
    assert (found["version"], found["revision"], found["source"]) == ("1.2.3", "abc", "here")
    assert {"description", "vendor", "authors", "base.name"} <= found.keys()


def test_strange_answers_arrive_in_the_labels_as_they_are(
    engine: Any, service: Path, image: str, render: Callable[..., Path]
) -> None:
    strange = {
        "description": """It's "100 % $HOME `id`" ${A} $(B) é 🚀 \\""",
        "team": "'Payments': {a: b} #1",
    }
    text = (render(**strange) / "Dockerfile").read_text(encoding="utf-8")
    label = text[text.index("\nLABEL") : text.index("\nUSER")]
    engine.make("orders:labels", f"FROM {image}\nARG VERSION=1\n{label}\n", {})
    labels = engine.inspect("orders:labels")["Config"]["Labels"]
    assert labels["org.opencontainers.image.description"] == strange["description"]
    assert labels["org.opencontainers.image.vendor"] == strange["team"]


def test_the_same_lock_gives_the_same_files(engine: Any, service: Path, image: str) -> None:
    engine.build(service, "orders:second", "--no-cache")
    script = "cd /; find app etc/passwd etc/group -type f -exec sha256sum {} + | sort -k 2; "
    script += "find app -type l -printf '%p %l\\n' | sort"
    first, second = engine.inside(image, script), engine.inside("orders:second", script)
    assert first.splitlines() == second.splitlines()


def test_a_changed_line_changes_only_the_small_layers(
    engine: Any, service: Path, image: str, tmp_path: Path
) -> None:
    engine.build(service, "orders:unchanged")
    changed = Path(shutil.copytree(service, tmp_path / "changed"))
    with (changed / "src" / "orders" / "app.py").open("a", encoding="utf-8") as opened:
        opened.write("\n# one more line\n")
    engine.build(changed, "orders:changed")
    before, after = (
        engine.inspect(tag)["RootFS"]["Layers"] for tag in ("orders:unchanged", "orders:changed")
    )
    new = [layer for layer in after if layer not in before]
    assert len(new) == 1
    sizes = [
        int(line)
        for line in engine.run(
            "history", "--human=false", "--format={{.Size}}", "orders:changed"
        ).stdout.split()
    ]
    assert max(sizes) > 50_000_000, "the dependencies are a layer of their own"
    service_layer = int(engine.inside(image, "du -sb /app/service | cut -f 1"))
    assert service_layer < 10_000_000


def test_packages_of_the_owner_are_installed(engine: Any, service: Path, image: str, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(service, tmp_path / "changed"))
    with (changed / "deploy" / "image" / "packages.txt").open("a", encoding="utf-8") as opened:
        opened.write("\n# spells\nhunspell-en-us\n")
    engine.build(changed, "orders:packages")
    assert engine.inside("orders:packages", "dpkg-query --show hunspell-en-us").startswith("hunspell-en-us")
    assert engine.inside("orders:packages", "ls /var/lib/apt/lists") == ""


def test_it_is_no_larger_than_the_plainest(
    *, engine: Any, service: Path, image: str, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    froms = [
        line.split()[1]
        for line in (service / "Dockerfile").read_text(encoding="utf-8").splitlines()
        if line.startswith("FROM")
    ]
    uv, python = froms[:2]
    plain = Path(shutil.copytree(service, tmp_path / "plain", ignore=shutil.ignore_patterns(".dockerignore")))
    (plain / "Dockerfile").write_text(PLAINEST.format(python=python, uv=uv), encoding="utf-8")
    engine.build(plain, "orders:plain")
    base = engine.inspect(python)["Size"]
    over = {tag: engine.inspect(tag)["Size"] - base for tag in (image, "orders:plain")}
    ours, theirs = over[image] / 1e6, over["orders:plain"] / 1e6
    tell(f"Image over its base: {ours:.0f} MB; the plainest Dockerfile that works: {theirs:.0f} MB")
    assert over[image] < over["orders:plain"]
