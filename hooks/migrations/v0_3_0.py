"""0.3.0: files of the bundle ``database`` leave the services that did not choose it.

0.1.0 rendered eight files about the database without the bundle too. 0.2.0 left them out, which deletes nothing
in a service that has them. Those that are as 0.1.0 rendered them go now; one that was edited stays, and its
owner is told.

They go in the stage ``before``: an update that chooses the bundle at the same time then brings the new ones, and
does not merge them with the old.
"""

import sys

import yaml
from refused import Refused
from service import ANSWERS, Service

BUNDLE = "database"
RENDERED_BY = "0.1.0"
# What tells a file of the template from one of the owner's that has its name.
HEADER = b"Owned by the template"
FILES = (
    "deploy/grafana/dashboards/chassis/database.json",
    "deploy/kubernetes/base/migration.yaml",
    "deploy/prometheus/rules/database.yml",
    "docs/runbooks/database-connections-fail.md",
    "docs/runbooks/database-pool-exhausted.md",
    "docs/runbooks/database-pool-overflows.md",
    "docs/runbooks/database-pool-wait-long.md",
    "docs/runbooks/database-queries-slow.md",
)


def remove_left_over(service: Service) -> None:
    """Remove what 0.1.0 rendered of a bundle that is not chosen, and report each file."""
    answers = yaml.safe_load(service.committed(ANSWERS) or b"") or {}
    if BUNDLE in (answers.get("bundles") or []):
        return
    for name in FILES:
        mine = service.committed(name)
        if mine is None or HEADER not in mine:
            continue
        try:
            rendered = service.rendered_by(RENDERED_BY, name)
        except Refused as reason:
            service.report(name, f"{reason}. Without the bundle {BUNDLE} nothing uses this file: delete it")
            continue
        if mine == rendered:
            # Out of the index too: Copier takes from there what the owner has.
            service.git("rm", "--quiet", "--force", "--", f"./{name}")
            service.report(name, f"removed, because nothing uses it without the bundle {BUNDLE}")
        else:
            service.report(
                name,
                f"it is not as {RENDERED_BY} rendered it, so it was left. Without the bundle {BUNDLE} nothing"
                " uses it: delete it, or keep it as yours",
            )


def restore_index(service: Service) -> None:
    """Let the index hold what was committed, as it does for every other file that the update changed."""
    for name in FILES:
        # A file that Copier left unmerged is in the index, and stays so.
        if service.committed(name) is not None and not service.git("ls-files", "--", f"./{name}"):
            service.git("reset", "--quiet", "--", f"./{name}")


def main() -> int:
    """Migrate the service that Copier started this for."""
    try:
        service = Service.of_this_update()
    except Refused as reason:
        print(f"Migration 0.3.0: {reason}.", file=sys.stderr)
        return 1
    if service.stage == "before":
        remove_left_over(service)
    else:
        restore_index(service)
    return 0


if __name__ == "__main__":
    sys.exit(main())
