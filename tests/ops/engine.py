"""A container engine for the tests: started for them, stopped after them, and nothing of it left on the machine.

It has its own folder and socket, makes no firewall rule and no default bridge. Networks that Compose asks for are
removed with their bridges. No image can be pulled: the base images that the rendered files name are made from Debian
packages and carry the CA bundle and the package index of this machine.
"""

import hashlib
import json
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

PATIENCE = 60.0
MEMORY_FOR_IMAGES = 10 * 2**30
SUITE = "trixie"
MIRROR = "http://deb.debian.org/debian"

# What the machine may need to reach a package index; the base image carries it into the build.
INDEX_VARIABLES = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
)
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


class Engine:
    """`docker` against a daemon of its own. Every failure carries the output of the command."""

    def __init__(self, tool: Callable[[str], str], folder: Path, cache: Path) -> None:
        self._tool = tool
        self._folder = folder
        self._cache = cache
        self._process: subprocess.Popen[bytes] | None = None
        # the path of a Unix socket is short
        self._sockets = Path(f"/tmp/ops-engine-{os.getpid()}")
        self._memory = folder / "memory"

    @property
    def environment(self) -> dict[str, str]:
        """What a client of this engine needs."""
        return {**os.environ, "DOCKER_HOST": f"unix://{self._sockets}/docker", "DOCKER_BUILDKIT": "1"}

    def start(self) -> str:
        """Start the daemon. Returns why that is impossible, or nothing."""
        if os.geteuid() != 0:
            return "only root can start dockerd"
        self._cache.mkdir(parents=True, exist_ok=True)
        self._note.write_text(json.dumps([str(self._folder), str(self._sockets)]), encoding="utf-8")
        self._memory.mkdir()
        self._sockets.mkdir(mode=0o700)
        if free_memory() > MEMORY_FOR_IMAGES:
            # images in memory: faster, and gone at once
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=6g,mode=0711", "ops-engine", str(self._memory)],
                check=False,
            )
        log = self._folder / "dockerd.log"
        with log.open("wb") as written:
            self._process = subprocess.Popen(
                [
                    self._tool("dockerd"),
                    *("--host", f"unix://{self._sockets}/docker"),
                    *("--data-root", str(self._memory / "data")),
                    *("--exec-root", str(self._sockets / "exec")),
                    *("--pidfile", str(self._folder / "pid")),
                    *("--bridge", "none"),
                    *("--iptables=false", "--ip6tables=false", "--ip-masq=false", "--ip-forward=false"),
                ],
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            if self.run("info", check=False).returncode == 0:
                return ""
            time.sleep(0.2)
        return f"dockerd did not start: {last_line(log)}"

    def stop(self) -> None:
        """End everything, also after a failure: containers, networks, bridges, the daemon, its files."""
        if self._process is not None:
            if self._process.poll() is None:
                self._remove("ps", "--all", command=("rm", "--force", "--volumes"))
                self._remove("network", "ls", "--filter", "type=custom", command=("network", "rm"))
                self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(PATIENCE)
        sweep(self._note)

    @property
    def _note(self) -> Path:
        return self._cache / f"engine-{os.getpid()}.json"

    def _remove(self, *listing: str, command: tuple[str, ...]) -> None:
        found = self.run(*listing, "--quiet", check=False).stdout.split()
        if found:
            self.run(*command, *found, check=False)

    def run(
        self, *arguments: str | Path, check: bool = True, cwd: Path | None = None, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker` to its end."""
        # The package's own client: another one on the PATH may not speak this daemon's language.
        done = subprocess.run(
            [self._tool("docker"), *map(str, arguments)],
            cwd=cwd,
            env=self.environment,
            input=stdin,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"docker {' '.join(map(str, arguments))}\n{done.stdout}")
        return done

    def inspect(self, name: str) -> dict[str, Any]:
        """Return what the engine knows about an image or a container."""
        found: dict[str, Any] = json.loads(self.run("inspect", name).stdout)[0]
        return found

    def inside(self, image: str, script: str) -> str:
        """Run a shell script as root in a new container of an image, with no network, and return its output."""
        return self.run(
            "run", "--rm", "--network=none", "--user=0", "--entrypoint=sh", image, "-euc", script
        ).stdout

    def build(self, context: Path, tag: str, *arguments: str) -> str:
        """Build an image as `make image` does, and return its id."""
        self.run("build", "--network=host", "--tag", tag, *arguments, ".", cwd=context)
        return str(self.inspect(tag)["Id"])

    def wait_until_healthy(self, container: str) -> None:
        """Return when the container's own health check says so."""
        deadline = time.monotonic() + PATIENCE
        while (state := self.inspect(container)["State"]).get("Health", {}).get("Status") != "healthy":
            if not state["Running"] or time.monotonic() > deadline:
                raise AssertionError(f"{container}: {state}\n{self.run('logs', container).stdout}")
            time.sleep(0.2)

    # --- Base images ---

    def make_base_of(self, dockerfile: Path) -> None:
        """Make the images that a rendered Dockerfile begins with: Debian's Python, and uv from this environment."""
        names = [
            line.split()[1]
            for line in dockerfile.read_text(encoding="utf-8").splitlines()
            if line.startswith("FROM ")
        ]
        python = next(name for name in names if name.startswith("python:"))
        uv = next(name for name in names if "/uv:" in name)
        self.import_debian("debian-python", ("ca-certificates", "python3", "python3-venv"))
        # what the official image has and the service's must not
        installer = "/usr/local/lib/python3/site-packages/pip /usr/local/lib/python3/ensurepip"
        self.make(
            python,
            "FROM debian-python\nCOPY certificates /certificates\n"
            f"RUN cp /certificates {CERTIFICATES} && rm /certificates"
            f" && ln -s /usr/bin/python3 /usr/local/bin/python && mkdir -p {installer}"
            " && touch /usr/local/bin/pip\n"
            f"ENV {settings_of_index()} PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n",
            {"certificates": certificates()},
        )
        self.make(uv, "FROM scratch\nCOPY uv /uv\n", {"uv": Path(self._tool("uv")).read_bytes()})

    def import_debian(self, tag: str, packages: tuple[str, ...]) -> None:
        """Make an image of a minimal Debian with these packages; the archive is kept for the next run."""
        made_of = hashlib.sha256(" ".join((SUITE, *packages)).encode()).hexdigest()[:12]
        archive = self._cache / f"{tag}-{made_of}.tar"
        if not archive.exists():
            part = archive.with_suffix(f".{os.getpid()}.tar")
            try:
                self._bootstrap(part, packages)
                part.rename(archive)
            finally:
                part.unlink(missing_ok=True)
        self.run("import", archive, tag)

    def _bootstrap(self, archive: Path, packages: tuple[str, ...]) -> None:
        done = subprocess.run(
            [
                self._tool("mmdebstrap"),
                *("--quiet", "--variant=minbase"),
                # it is thrown away if the machine stops
                "--dpkgopt=force-unsafe-io",
                f"--include={','.join(packages)}",
                *(SUITE, str(archive), MIRROR),
            ],
            check=False,
            env={**os.environ, "TMPDIR": str(self._memory)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != 0:
            raise AssertionError(f"mmdebstrap failed:\n{done.stdout}")

    def make(self, tag: str, dockerfile: str, files: Mapping[str, bytes]) -> None:
        """Build an image from a few files."""
        folder = self._folder / "context"
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
        for name, content in files.items():
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o755)
        self.build(folder, tag)
        for name in ("Dockerfile", *files):
            (folder / name).unlink()


def sweep_all(folder: Path) -> None:
    """Remove what engines have left whose test run is no more."""
    for note in folder.glob("engine-*.json"):
        if not Path("/proc", note.stem.removeprefix("engine-")).exists():
            sweep(note)


def sweep(note: Path) -> None:
    """Remove what an engine left: processes, links, mounts, files. It leaves them if the test run was killed."""
    if not note.exists():
        return
    folder, sockets = map(Path, json.loads(note.read_text(encoding="utf-8")))
    for pid in processes_of(folder, sockets):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for link in links_of(folder):
        subprocess.run(["ip", "link", "delete", link], check=False, capture_output=True)
    for mount in mounts(folder) + mounts(sockets):
        subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
    subprocess.run(["rm", "-rf", str(folder / "memory"), str(sockets)], check=False)
    note.unlink()


def processes_of(folder: Path, sockets: Path) -> list[int]:
    """The processes of an engine: what was started with a path below its folders, and what runs in its containers."""
    containers = {path.name for path in folder.glob("memory/data/containers/*")}
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal():
                command = (entry / "cmdline").read_text(encoding="utf-8", errors="replace")
                group = (entry / "cgroup").read_text(encoding="utf-8", errors="replace")
                mine = f"{folder}/" in command or f"{sockets}/" in command
                if mine or any(f"/{name}" in group for name in containers):
                    found.append(int(entry.name))
    return found


def links_of(folder: Path) -> list[str]:
    """The bridges of an engine's networks, and what is plugged into them. Other engines' links are left alone."""
    store = folder / "memory" / "data" / "network" / "files" / "local-kv.db"
    networks = store.read_bytes() if store.exists() else b""
    bridges = [
        link.name
        for link in Path("/sys/class/net").glob("br-*")
        if link.name.removeprefix("br-").encode() in networks
    ]
    plugged = [port.name for bridge in bridges for port in Path("/sys/class/net", bridge, "brif").iterdir()]
    return plugged + bridges


def certificates() -> bytes:
    """The CA bundle that this machine trusts."""
    bundle = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile or CERTIFICATES
    return Path(bundle).read_bytes()


def settings_of_index() -> str:
    """How this machine reaches a package index, as the arguments of ENV."""
    found = {name: os.environ[name] for name in INDEX_VARIABLES if name in os.environ}
    return " ".join(
        f"{name}={json.dumps(value)}" for name, value in {"SSL_CERT_FILE": CERTIFICATES, **found}.items()
    )


def free_memory() -> int:
    """The bytes of memory that this machine can give."""
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def mounts(folder: Path) -> list[str]:
    """What is still mounted below a folder, the innermost first."""
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    points = [line.split()[1] for line in lines]
    return sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True)


def last_line(log: Path) -> str:
    """The end of a log, for one sentence."""
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it wrote nothing"
