"""``chassis update``: its options, its exit codes, and nothing else."""

from pathlib import Path
from typing import Annotated

import typer

from chassis.cli.update import flow
from chassis.cli.update.errors import UpdateError
from chassis.cli.update.plan import Request
from chassis.cli.update.plan import check as check_release
from chassis.cli.update.process import stoppable
from chassis.cli.update.report import Report
from chassis.cli.update.service import find

__all__ = ["app"]

FAILED = 1
BEHIND = 2
STOPPED = 130

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(epilog="Exit codes: 0 done or up to date, 1 not done, and with --check 2 behind.")
def update(
    *,
    directory: Annotated[
        Path, typer.Option(help="Directory of the service.", exists=True, file_okay=False, show_default=".")
    ] = Path(),
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether there is a newer release.")
    ] = False,
    to: Annotated[
        str, typer.Option(help="A release, X.Y.Z, or the newest of a line, X.Y.", show_default="newest")
    ] = "",
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="Another answer, question=value; the version stays unless --to is given.", metavar="ANSWER"
        ),
    ] = None,
    heal: Annotated[
        bool,
        typer.Option(
            "--heal", help="Restore the template's files that were edited by hand, and show what it undid."
        ),
    ] = False,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="With conflicts or failing tests, keep the branch to finish it by hand."),
    ] = False,
    tests: Annotated[bool, typer.Option("--tests/--no-tests", help="Run the service's tests.")] = True,
    template: Annotated[
        str,
        typer.Option(
            help="Read the template from this clone, bundle file or address.", show_default="as recorded"
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Take a newer release of the template: makes a branch to look at, or leaves everything as it was."""
    report = Report(as_json=as_json)
    code = 0
    try:
        request = Request(
            to=to, data=_answers(data or []), heal=heal, keep=keep, tests=tests, template=template
        )
        with stoppable():
            service = find(directory)
            if check:
                code = BEHIND if check_release(service, request, report) else 0
            else:
                flow.update(service, request, report)
    except UpdateError as error:
        report.fail(error)
        code = FAILED
    except KeyboardInterrupt:
        branch = report.result.branch
        what = f"the branch {branch} was made already" if branch else "the service is as it was"
        report.fail(UpdateError(f"stopped; {what}"))
        code = STOPPED
    report.close()
    raise typer.Exit(code)


def _answers(data: list[str]) -> dict[str, str]:
    pairs = [entry.partition("=") for entry in data]
    if wrong := [name for name, equals, _ in pairs if not equals or not name]:
        raise UpdateError(f"--data {wrong[0]} names no answer: write --data question=value")
    return {name: value for name, _, value in pairs}
