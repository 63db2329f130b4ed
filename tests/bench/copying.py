"""``copier copy``, ``copier update`` and ``make update`` against Copier's floor: ``python tests/bench/copying.py``.

The floor is a template of the same files, as they come out, that has no question and no Jinja. Both templates
are Git repositories of two versions; the second changes one file. The template's own history is not in them.
``make update`` is measured without installing and without the service's tests: with the clone, the comparison of all
files, the worktree, the update itself and the branch.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import budgets
from figures import Figure, ratios, spread
from peers import ROOT

COPIES, UPDATES = 7, 3
CHANGED = "template/chassis/src/chassis/context.py"
_TOOLS = Path(sys.executable).parent
_FLOOR = """\
_subdirectory: template
_answers_file: .copier-answers.yml
"""


def main() -> int:
    """Measure and print."""
    for figure in measure():
        print(figure.line())
    return 0


def measure() -> list[Figure]:
    """Measure both templates in turns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        templates = {"chassis": _chassis(folder / "chassis")}
        rendered = folder / "rendered"
        _copy(templates["chassis"], rendered)
        templates["floor"] = _floor(folder / "floor", rendered)
        for template in templates.values():
            _second_version(template)
        services = {name: _service(folder / f"service-{name}", at) for name, at in templates.items()}
        copies = _rounds(
            lambda name, number: _copy(templates[name], folder / f"copy-{name}-{number}"),
            list(templates),
            COPIES,
        )
        for kind, service in services.items():
            for number in range(UPDATES):
                shutil.copytree(service, folder / f"update-{kind}-{number}", symlinks=True)
        for number in range(UPDATES):
            shutil.copytree(services["chassis"], folder / f"update-make-{number}", symlinks=True)
        ways = {"chassis": _update, "floor": _update, "make": _make_update}
        updates = _rounds(
            lambda name, number: ways[name](folder / f"update-{name}-{number}"), list(ways), UPDATES
        )
        files = sum(1 for path in rendered.rglob("*") if path.is_file())
    return [
        _figure("copier copy", copies, budgets.COPY, files),
        _figure("copier update", updates, budgets.UPDATE, files),
        _figure("make update", updates, budgets.UPDATE, files, subject="make"),
    ]


def _rounds(run: Callable[[str, int], None], names: list[str], rounds: int) -> list[dict[str, float]]:
    return [{name: _seconds(run, name, number) for name in names} for number in range(rounds)]


def _seconds(run: Callable[[str, int], None], name: str, number: int) -> float:
    began = perf_counter()
    run(name, number)
    return perf_counter() - began


def _figure(
    what: str, rounds: list[dict[str, float]], budget: float, files: int, subject: str = "chassis"
) -> Figure:
    found = ratios(rounds, subject, "floor")
    seconds, floor = (spread([one[name] for one in rounds]).middle for name in (subject, "floor"))
    return Figure(
        measure=what,
        subject=f"{files} files",
        value=found.middle,
        unit="x floor",
        low=found.low,
        high=found.high,
        budget=budget,
        absolute=f"{seconds:.2f} s of {floor:.2f} s",
    )


def _chassis(folder: Path) -> Path:
    leftovers = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*_cache", ".venv")
    for name in ("questions", "template"):
        shutil.copytree(ROOT / name, folder / name, ignore=leftovers)
    shutil.copy2(ROOT / "copier.yml", folder)
    return _first_version(folder)


def _floor(folder: Path, rendered: Path) -> Path:
    shutil.copytree(rendered, folder / "template", symlinks=True)
    (folder / "template" / ".copier-answers.yml").unlink()
    answers = folder / "template" / "{{ _copier_conf.answers_file }}.jinja"
    answers.write_text("{{ _copier_answers | to_nice_yaml }}\n", encoding="utf-8")
    (folder / "copier.yml").write_text(_FLOOR, encoding="utf-8")
    return _first_version(folder)


def _first_version(folder: Path) -> Path:
    _git(folder, "init", "--quiet")
    _commit(folder)
    _git(folder, "tag", "1.0.0")
    return folder


def _second_version(template: Path) -> None:
    changed = template / CHANGED
    changed.write_text(changed.read_text(encoding="utf-8") + "\n# Version 2.\n", encoding="utf-8")
    _commit(template)
    _git(template, "tag", "2.0.0")


def _service(folder: Path, template: Path) -> Path:
    _copy(template, folder)
    _git(folder, "init", "--quiet")
    _commit(folder)
    return folder


def _commit(folder: Path) -> None:
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--message", "Change")


def _copy(template: Path, folder: Path) -> None:
    answers = () if template.name == "floor" else ("--data", "service_name=Bench")
    _run(_TOOLS / "copier", "copy", "--quiet", "--defaults", "--vcs-ref", "1.0.0", *answers, template, folder)


def _update(folder: Path) -> None:
    _run(_TOOLS / "copier", "update", "--quiet", "--defaults", "--vcs-ref", "2.0.0", folder)
    if "# Version 2." not in (folder / CHANGED.removeprefix("template/")).read_text(encoding="utf-8"):
        raise RuntimeError("the update changed nothing")


def _make_update(folder: Path) -> None:
    _run(_TOOLS / "chassis", "update", "--directory", folder, "--no-tests", "--to", "2.0.0")
    _git(folder, "rev-parse", "--verify", "chassis-update-2.0.0")


def _git(folder: Path, *arguments: str) -> None:
    _run("git", "-C", folder, *arguments)


def _run(*command: str | Path) -> None:
    identity = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "bench"), ("EMAIL", "bench@example.com"))
    }
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, **identity}
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
