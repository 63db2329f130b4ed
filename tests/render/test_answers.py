"""A bad answer is refused in one sentence; a strange one renders correctly."""

import importlib.metadata
import keyword
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from copier.errors import UserMessageError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
BAD_ANSWERS = [
    ("service_name", "", "empty"),
    ("service_name", "   ", "empty"),
    ("service_name", " Orders", "space"),
    ("service_name", "x" * 300, "300 characters"),
    ("service_name", "x" * 61, "61 characters"),
    ("service_name", "Or\x00ders", "control"),
    ("service_name", "Or\nders", "control"),
    ("service_name", "Or\x1b[31mders", "control"),
    ("service_slug", "my service!", "DNS-1123"),
    ("service_slug", "My-Service", "DNS-1123"),
    ("service_slug", "my_service", "DNS-1123"),
    ("service_slug", "-orders", "DNS-1123"),
    ("service_slug", "orders-", "DNS-1123"),
    ("service_slug", "orders\n", "DNS-1123"),
    ("service_slug", "1st", "DNS-1123"),
    ("service_slug", "größe", "DNS-1123"),
    ("service_slug", "", "DNS-1123"),
    ("service_slug", "x" * 300, "300 characters"),
    ("service_slug", "x" * 41, "41 characters"),
    ("service_slug", "fastapi", "package that the service installs"),
    ("service_slug", "chassis", "package that the service installs"),
    ("package_name", "class", "keyword"),
    ("package_name", "None", "keyword"),
    ("package_name", "json", "standard library"),
    ("package_name", "chassis", "imports"),
    ("package_name", "fastapi", "imports"),
    ("package_name", "tests", "imports"),
    ("package_name", "my-service", "underscores"),
    ("package_name", "my service!", "underscores"),
    ("package_name", "1st", "underscores"),
    ("package_name", "größe", "underscores"),
    ("package_name", "__init__", "underscores"),
    ("package_name", "orders\n", "underscores"),
    ("package_name", "../up", "underscores"),
    ("package_name", "x" * 300, "300 characters"),
    ("description", "", "empty"),
    ("description", "x" * 300, "300 characters"),
    ("description", "x" * 201, "201 characters"),
    ("description", "two\nlines", "control"),
    ("description", "line\u2028separator", "control"),
    ("description", "right\u202eto left", "control"),
    ("description", "tab\tbed", "control"),
    ("team", "", "empty"),
    ("team", "x" * 300, "300 characters"),
    ("team", "x" * 61, "61 characters"),
    ("team", "A\x7f", "control"),
    ("team_email", "orders", "host"),
    ("team_email", "orders@", "host"),
    ("team_email", "orders@example", "host"),
    ("team_email", "orders@example.com\n", "host"),
    ("team_email", "a b@example.com", "host"),
    ("team_email", "x" * 300 + "@example.com", "characters"),
    ("port", 70000, "65535"),
    ("port", "abc", "65535"),
    ("port", "", "65535"),
    ("port", -1, "65535"),
    ("port", 0, "65535"),
    ("port", 80, "root"),
    ("port", 1023, "root"),
    ("port", 65536, "65535"),
    ("port", "8000.5", "65535"),
    ("port", float("inf"), "65535"),
    ("port", 9090, "management"),
    ("python_version", "3.10", "3.11"),
    ("python_version", "3.15", "3.11"),
    ("bundles", ["nope"], "nope"),
    ("bundles", "[database, nope]", "nope"),
    ("bundles", "database", "list"),
    ("bundles", {"database": True}, "plain"),
    ("ci", "jenkins", "jenkins"),
    ("deployment", "heroku", "heroku"),
    ("image_registry", "https://registry.example.com", "https://"),
    ("image_registry", "Registry.example.com", "lower case"),
    ("image_registry", "registry.example.com/", "host and a path"),
    ("image_registry", "", "host and a path"),
    ("image_registry", "x" * 300, "300 characters"),
    ("repository_url", "git.example.com/orders", "https://"),
    ("repository_url", "https://git.example.com/orders/", "without a slash"),
    ("repository_url", "https://git.example.com/a b", "address"),
    ("repository_url", "javascript:alert(1)", "address"),
    ("repository_url", "https://" + "x" * 300, "308 characters"),
]
GOOD_ANSWERS = [
    ("service_name", "x" * 60),
    ("description", "x" * 200),
    ("team", "x" * 60),
    *(("python_version", version) for version in ("3.11", "3.12", "3.13", "3.14")),
    *(("ci", ci) for ci in ("github", "gitlab", "none")),
    *(("deployment", deployment) for deployment in ("kubernetes", "compose", "none")),
    ("service_slug", "a"),
    ("service_slug", "true"),
    ("service_slug", "x" * 40),
    ("package_name", "match"),
    ("package_name", "orders2"),
    ("port", 1024),
    ("port", "65535"),
    ("image_registry", "localhost:5000"),
    ("image_registry", "ghcr.io/my-org/my_team"),
    ("repository_url", ""),
    ("repository_url", "http://localhost:3000/shop/orders"),
    ("bundles", "[]"),
    ("bundles", "[database]"),
]
NAMES = {
    "Orders": ("orders", "orders"),
    "Order History": ("order-history", "order_history"),
    "  ": None,
    "Größe & Maß": ("groesse-mass", "groesse_mass"),
    "Être": ("etre", "etre"),
    "注文": ("service", "service"),
    "🚀": ("service", "service"),
    "2nd Level": ("service-2nd-level", "service_2nd_level"),
    "class": ("class", "class_service"),
    "JSON": ("json", "json_service"),
    "FastAPI": ("fastapi-service", "fastapi_service"),
    "Chassis": ("chassis-service", "chassis_service"),
    "my service!": ("my-service", "my_service"),
    "A" * 60: ("a" * 40, "a" * 40),
}


# What a file that quotes an answer's text says somewhere.
FREE_TEXT = re.compile(r"_copier_answers|\b(description|service_name|team)\b")


@pytest.fixture(scope="session")
def bare(slim_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The questions, and every file that free text reaches; no git, so that nothing is cloned."""
    folder = tmp_path_factory.mktemp("bare") / "template"
    shutil.copytree(slim_template, folder, ignore=shutil.ignore_patterns(".git"))
    for file in (folder / "template").rglob("*"):
        if file.is_file() and not FREE_TEXT.search(file.read_text(encoding="utf-8")):
            file.unlink()
    return folder


@pytest.fixture
def render_bare(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def rendered(**answers: Any) -> Path:
        folder = tmp_path_factory.mktemp("bare") / "service"
        copier.run_copy(str(bare), folder, data=answers, defaults=True, quiet=True)
        return folder

    return rendered


@pytest.mark.parametrize(("question", "answer", "reason"), BAD_ANSWERS)
def test_a_bad_answer_given_as_data_is_refused_with_its_reason(
    question: str, answer: Any, reason: str, render_bare: Callable[..., Path]
) -> None:
    with pytest.raises(UserMessageError) as refused:
        render_bare(**{question: answer})
    _, _, said = str(refused.value).partition("Refused: ")
    assert question in said
    assert reason in said


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        bad
        for bad in BAD_ANSWERS
        if bad[0] not in {"bundles", "ci", "deployment", "python_version"}
        and bad[1] not in {"abc", "8000.5", float("inf")}
        and bad[:2] != ("port", "")
    ],
)
def test_a_bad_answer_given_at_the_prompt_is_refused_with_its_reason(
    question: str, answer: Any, reason: str, bare: Path, tmp_path: Path
) -> None:
    # A prompt and the default of a user go through the same validator.
    with pytest.raises(ValueError, match=re.escape(question)) as refused:
        copier.run_copy(
            str(bare), tmp_path / "x", user_defaults={question: answer}, defaults=True, quiet=True
        )
    if answer != "":
        assert reason in str(refused.value)


@pytest.mark.parametrize(
    "answer", ["package_name=class", "port=abc", "service_name=", "bundles=database", "ci=x"]
)
def test_the_command_line_refuses_without_a_traceback(answer: str, template: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "copier",
            "copy",
            "--quiet",
            "--defaults",
            "--data",
            answer,
            template,
            tmp_path / "x",
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    before, _, reason = done.stderr.partition("Refused: ")
    assert reason.startswith(answer.partition("=")[0])
    assert before.strip(), "Copier's own words"
    assert not (tmp_path / "x").exists()


def test_the_command_line_takes_every_default_and_one_answer_and_asks_for_no_trust(
    template: Path, tmp_path: Path
) -> None:
    command = ["copy", "--quiet", "--defaults", "--data", "port=9000", template, tmp_path / "x"]
    subprocess.run([sys.executable, "-m", "copier", *command], check=True, stdin=subprocess.DEVNULL)
    recorded = yaml.safe_load((tmp_path / "x" / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert (recorded["port"], recorded["service_name"], recorded["ci"]) == (9000, "Example Service", "github")
    assert recorded["_src_path"] == str(template)


@pytest.mark.parametrize("there", [".gitignore", "LICENSE"])
def test_who_has_a_gitignore_already_is_told_what_it_must_name(
    there: str, slim_template: Path, tmp_path: Path
) -> None:
    (tmp_path / there).write_text("*.tmp\n", encoding="utf-8")
    command = [sys.executable, "-m", "copier", "copy", "--defaults", slim_template, tmp_path]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    told = (
        "Your .gitignore is as it was. First let it name .env, where secrets are, and .venv.\n" in done.stderr
    )
    assert told is (there == ".gitignore")
    assert "Example Service is ready. Next:\n" in done.stderr


def test_every_question_of_the_guide_is_asked_and_no_other(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def take_the_default(questions: list[dict[str, Any]], answers: dict[str, Any]) -> dict[str, Any]:
        asked.update(answers)
        return {question["name"]: answers[question["name"]] for question in questions}

    monkeypatch.setattr("copier._main.unsafe_prompt", take_the_default)
    copier.run_copy(str(bare), tmp_path / "x", quiet=True)
    guide = (ROOT / "docs" / "how-to" / "start-a-service.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", guide, re.MULTILINE)
    assert list(asked) == [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert len(asked) == 13
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert "Thirteen questions, each with a default." in readme
    recorded = yaml.safe_load((tmp_path / "x" / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert recorded["keep"] == recorded["handed_over"] == []


def test_the_guide_names_the_oldest_copier() -> None:
    oldest = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))["_min_copier_version"]
    guide = (ROOT / "docs" / "how-to" / "start-a-service.md").read_text(encoding="utf-8")
    assert f"Copier {oldest.removesuffix('.0')} or later" in guide


def test_the_checks_run_on_the_oldest_and_the_newest_python_that_can_be_chosen() -> None:
    workflow = (ROOT / ".github" / "workflows" / "checks.yml").read_text(encoding="utf-8")
    tried = yaml.safe_load(workflow)["jobs"]["test"]["strategy"]["matrix"]["python"]
    offered = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))["python_version"]["choices"]
    assert tried == [offered[0], offered[-1]]


@pytest.mark.parametrize(("question", "answer"), GOOD_ANSWERS)
def test_an_unusual_answer_is_accepted(question: str, answer: Any, render_bare: Callable[..., Path]) -> None:
    assert (render_bare(**{question: answer}) / "pyproject.toml").exists()


@pytest.mark.parametrize("name", [name for name, computed in NAMES.items() if computed])
def test_slug_and_package_are_computed_from_the_name(name: str, render_bare: Callable[..., Path]) -> None:
    recorded = yaml.safe_load(
        (render_bare(service_name=name) / ".copier-answers.yml").read_text(encoding="utf-8")
    )
    assert (recorded["service_slug"], recorded["package_name"]) == NAMES[name]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(min_size=1, max_size=60))
@example(text="{{ 7 * 7 }}{% raw %}{# #} #% if x")
@example(text="#% if")
@example(text="- # x: [y] & *z !t |> % @ `")
@example(text="\"quotes\" 'single' \\ back\\\\slash $(id) ${HOME} $$ `id`")
@example(text="*/ --> <!-- ]]> </script>")
@example(text="no")
@example(text="1e3")
@example(text="~")
@example(text="\ud83d\ude80".encode("utf-16", "surrogatepass").decode("utf-16"))
def test_any_text_is_refused_in_words_or_renders_files_that_hold_it(
    text: str, render_bare: Callable[..., Path]
) -> None:
    try:
        service = render_bare(
            service_name=text, service_slug="orders", package_name="orders", description=text, team=text
        )
    except UserMessageError as error:
        refusal = str(error)
    else:
        assert_files_hold(service, text)
        return
    assert "service_name" in refusal


def assert_files_hold(service: Path, text: str) -> None:
    """Read the text back from the files that quote it; the others must at least be valid."""
    for file in service.rglob("*.y*ml"):
        list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    project = tomllib.loads((service / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["description"] == text
    defaults = yaml.safe_load((service / "config" / "defaults.yaml").read_text(encoding="utf-8"))
    assert defaults["service"] == {"name": "orders", "description": text, "team": text}
    recorded = yaml.safe_load((service / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert (recorded["service_name"], recorded["team"]) == (text, text)
    base = yaml.safe_load(
        (service / "deploy" / "kubernetes" / "base" / "kustomization.yaml").read_text(encoding="utf-8")
    )
    assert base["commonAnnotations"]["team"] == text
    label = next(
        line
        for line in (service / "Dockerfile").read_text(encoding="utf-8").split("\n")
        if "image.vendor=" in line
    )
    assert shlex.split(label.removesuffix("\\"))[0].replace("\\$", "$").partition("=")[2] == text
    readme = (service / "README.md").read_text(encoding="utf-8").split("\n")
    assert readme[1].startswith("# ")
    assert readme[1:6:4][1].startswith("Owned by ")


def test_names_of_python_itself_are_refused(template: Path) -> None:
    refused = reserved(template)
    assert set(keyword.kwlist) <= refused["keywords"]
    assert {name for name in sys.stdlib_module_names if not name.startswith("_")} <= refused["stdlib_modules"]


def test_names_of_everything_the_chassis_installs_are_refused(template: Path) -> None:
    refused = reserved(template)
    installed = set(closure("vendored-chassis"))
    modules = {
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if {canonicalize_name(owner) for owner in owners} & installed
        and re.fullmatch("[a-z][a-z0-9_]*", module)
    }
    assert {name for name in installed if re.fullmatch("[a-z][a-z0-9-]*", name)} - refused[
        "installed_distributions"
    ] == set()
    assert modules - refused["imported_packages"] == set()


def reserved(template: Path) -> dict[str, set[str]]:
    """The lists of questions/names.jinja."""
    text = (template / "questions" / "names.jinja").read_text(encoding="utf-8")
    return {
        name: set(words.split())
        for name, words in re.findall(r'{% set (\w+) = "(.*?)"\.split\(\)', text, re.DOTALL)
    }


def closure(distribution: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """A distribution, and everything that it and its extras need here."""
    if distribution in seen:
        return
    try:
        found = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return
    yield distribution
    extras = (
        (found.metadata.get_all("Provides-Extra") or [])
        if distribution == "vendored-chassis"
        else ["standard", "asyncio", "yaml"]
    )
    for line in found.requires or []:
        requirement = Requirement(line)
        markers = [{"extra": extra} for extra in (*extras, "")]
        if requirement.marker is None or any(requirement.marker.evaluate(marker) for marker in markers):
            yield from closure(canonicalize_name(requirement.name), seen | {distribution})
