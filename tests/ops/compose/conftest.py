"""The rendered Compose file, and stand-ins for the images that cannot be pulled.

A stand-in is the same program, from Debian or from a wheel, under the name that the Compose file asks for.
"""

import importlib.util
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Paths and ports as in the images that they stand in for.
NGINX = """\
FROM debian-programs
RUN useradd --system nginx
USER nginx
CMD ["nginx", "-g", "daemon off;"]
"""
ENVOY = """\
FROM debian-programs
COPY envoy /usr/local/bin/envoy
USER nobody
ENTRYPOINT ["envoy"]
"""
REDIS = """\
FROM debian-programs
WORKDIR /data
USER redis
CMD ["redis-server", "--dir", "/tmp"]
"""
PROMETHEUS = """\
FROM debian-programs
RUN mkdir -p /prometheus && chown nobody /prometheus
USER nobody
ENTRYPOINT ["prometheus"]
"""
ALERTMANAGER = """\
FROM debian-programs
RUN mkdir -p /alertmanager && chown nobody /alertmanager
USER nobody
ENTRYPOINT ["prometheus-alertmanager", "--cluster.listen-address="]
"""
# What the official image's entry point does with POSTGRES_DB, POSTGRES_USER and POSTGRES_PASSWORD.
POSTGRES = """\
FROM debian-programs
RUN install --directory --owner=postgres /var/lib/postgresql /var/run/postgresql \\
    && for tool in initdb pg_ctl postgres; do ln -s /usr/lib/postgresql/*/bin/$tool /usr/local/bin/; done
COPY entrypoint /entrypoint
USER postgres
CMD ["/entrypoint"]
"""
POSTGRES_ENTRYPOINT = b"""\
#!/bin/sh
set -eu
export PGDATA=/var/lib/postgresql/data
if [ ! -f "$PGDATA/PG_VERSION" ]; then
    initdb --username="$POSTGRES_USER" --auth-local=trust --auth-host=trust > /dev/null
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    pg_ctl --wait --options='-c listen_addresses= -k /tmp' start > /dev/null
    psql --host=/tmp --username="$POSTGRES_USER" --dbname=postgres --quiet \\
        --command="ALTER USER \\"$POSTGRES_USER\\" PASSWORD '$POSTGRES_PASSWORD'" \\
        --command="CREATE DATABASE \\"$POSTGRES_DB\\""
    pg_ctl --wait stop > /dev/null
fi
exec postgres -c listen_addresses='*' -k /var/run/postgresql
"""
PROGRAMS = ("nginx-light", "postgresql", "prometheus", "prometheus-alertmanager", "redis-server", "wget")


def envoy() -> bytes:
    """The program in the wheel."""
    package = importlib.util.find_spec("envoy")
    if package is None or package.origin is None:
        pytest.fail("envoy is missing: python -m pip install --requirement tests/ops/requirements.txt")
    return (Path(package.origin).parent / "_bin" / "envoy").read_bytes()


STAND_INS: dict[str, tuple[str, dict[str, Callable[[], bytes]]]] = {
    "envoyproxy/envoy": (ENVOY, {"envoy": envoy}),
    "nginxinc/nginx-unprivileged": (NGINX, {}),
    "postgres": (POSTGRES, {"entrypoint": lambda: POSTGRES_ENTRYPOINT}),
    "prom/alertmanager": (ALERTMANAGER, {}),
    "prom/prometheus": (PROMETHEUS, {}),
    "redis": (REDIS, {}),
}


@pytest.fixture(scope="session")
def stand_ins(engine: Any) -> Callable[[Path], None]:
    """Make a stand-in for each image of a Compose file that has one."""

    def made(compose: Path) -> None:
        engine.import_debian("debian-programs", PROGRAMS)
        for image in re.findall(
            r"^    image: ([^\"\s]+)$", compose.read_text(encoding="utf-8"), re.MULTILINE
        ):
            name = image.rpartition(":")[0]
            if name in STAND_INS:
                dockerfile, files = STAND_INS[name]
                engine.make(image, dockerfile, {name: content() for name, content in files.items()})

    return made


@pytest.fixture
def compose(check: Callable[..., str]) -> Callable[..., str]:
    """Run docker-compose in a folder, with no variables but these."""

    def run(folder: Path, *arguments: str, engine: Any = None, **variables: str) -> str:
        # A variable of this machine must not become a setting.
        hidden = {name: "" for name in ("ENVIRONMENT", "PORT", "TAG", "LOG_LEVEL") if name in os.environ}
        environment = {**hidden, **(engine.environment if engine else {}), **variables}
        return check("docker-compose", *arguments, cwd=folder, env=environment)

    return run
