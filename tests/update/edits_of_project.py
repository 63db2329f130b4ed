"""What owners do to pyproject.toml, by uv and by hand."""

import re
import subprocess
import sys
from pathlib import Path

from owner import WORDS, Owner

UV = Path(sys.executable).parent / "uv"
REQUIREMENTS = ["aiofiles>=24", "boltons", "email-validator>=2,<3", "uvloop>=0.21", "zeep>=4", "wheel"]
DEV_REQUIREMENTS = ["pytest-mock>=3", "respx", "types-aiofiles", "mkdocs>=1.6", "aiosmtpd", "zest-releaser"]


def add_requirement(owner: Owner) -> bool:
    """Add a dependency with uv."""
    return uv(owner, "add", owner.random.choice(REQUIREMENTS))


def add_dev_requirement(owner: Owner) -> bool:
    """Add a development dependency with uv."""
    return uv(owner, "add", "--dev", owner.random.choice(DEV_REQUIREMENTS))


def remove_requirement(owner: Owner) -> bool:
    """Remove a dependency that was added."""
    text = owner.path("pyproject.toml").read_text(encoding="utf-8")
    added = [name for name in map(distribution, REQUIREMENTS) if f'"{name}' in text]
    return bool(added) and uv(owner, "remove", owner.random.choice(added))


def distribution(requirement: str) -> str:
    """Give the name in a requirement."""
    return re.split("[>=<]", requirement, maxsplit=1)[0]


def uv(owner: Owner, *arguments: str) -> bool:
    """Let uv edit pyproject.toml, without resolving anything."""
    before = owner.path("pyproject.toml").read_bytes()
    command = [str(UV), *arguments, "--frozen", "--offline", "--quiet"]
    done = subprocess.run(command, cwd=owner.service, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return owner.path("pyproject.toml").read_bytes() != before


def append_requirement(owner: Owner) -> bool:
    """Write a dependency at the end of the list, by hand."""
    requirement = owner.random.choice(REQUIREMENTS)
    end_of_list = re.compile(r"(\ndependencies = \[\n(?:.*\n)*?)(\])")
    return owner.change(
        "pyproject.toml",
        lambda text: (
            text
            if f'"{distribution(requirement)}' in text
            else end_of_list.sub(rf'\1    "{requirement}",\n\2', text, count=1)
        ),
    )


def bump_requirement(owner: Owner) -> bool:
    """Change the bound of a dependency that was added."""
    bound = re.compile(r'"(aiofiles|uvloop|zeep|email-validator)[>=<\d.,]*"')
    number = owner.random.randint(30, 99)
    return owner.change("pyproject.toml", lambda text: bound.sub(rf'"\g<1>>={number}"', text, count=1))


def bump_version(owner: Owner) -> bool:
    """Give the service a new version, in both places."""
    version = f"{owner.random.randint(1, 9)}.{owner.random.randint(0, 99)}.0"
    owner.change("config/service.yaml", lambda text: re.sub(r"version: .*", f"version: {version}", text))
    return owner.change(
        "pyproject.toml", lambda text: re.sub(r'(?m)^version = ".*"', f'version = "{version}"', text, count=1)
    )


def describe(owner: Owner) -> bool:
    """Write another description by hand."""
    note = owner.note()
    return owner.change(
        "pyproject.toml",
        lambda text: re.sub(r"(?m)^description = .*", f'description = "{note}"', text, count=1),
    )


def add_script(owner: Owner) -> bool:
    """Add a command below that of the template."""
    line = (
        f'{owner.random.choice(WORDS)}-{owner.random.randrange(10**6)} = "{owner.package.name}.__main__:main"'
    )
    return owner.change(
        "pyproject.toml", lambda text: re.sub(r"(\[project\.scripts\]\n.*\n)", rf"\1{line}\n", text, count=1)
    )


def configure_tools(owner: Owner) -> bool:
    """Add a tool's table, at the end or before another table."""
    name = f"owner-{owner.random.randrange(10**6)}"
    table = f'[tool.{name}]\nsetting = "{owner.note()}"\n'
    return owner.change(
        "pyproject.toml",
        owner.random.choice(
            [
                lambda text: f"{text}\n{table}",
                lambda text: text.replace("\n[tool.hatch", f"\n{table}\n[tool.hatch", 1),
                lambda text: text.replace(
                    "\n# Yours: `uv add --dev`", f"\n{table}\n# Yours: `uv add --dev`", 1
                ),
            ]
        ),
    )
