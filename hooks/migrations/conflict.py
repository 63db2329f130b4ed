"""A conflict that the update left in a merged file, settled by knowing what the template's change means."""

from collections.abc import Callable

from merge import merge
from refused import Refused
from service import Service

__all__ = ["settle"]

# Where git keeps the three versions of an unmerged file.
BASE, MINE, THEIRS = 1, 2, 3


def settle(service: Service, name: str, *changes: Callable[[str], str]) -> None:
    """Merge an unmerged file again, after making the template's change by meaning. For the stage ``after``.

    Every change is made to the version that the file began from, which then has what the template has now,
    and to the owner's version. What is refused there stays as the owner wrote it and is reported. Both sides
    agree about these places then, so that only other lines can still conflict; if they do, the file stays
    unmerged as Copier left it. A file without conflict is not touched.
    """
    base, mine, theirs = (service.git("show", f":{stage}:./{name}") for stage in (BASE, MINE, THEIRS))
    if base is None or mine is None or theirs is None:
        return
    for change in changes:
        base = change(base.decode()).encode()
        try:
            mine = change(mine.decode()).encode()
        except (Refused, UnicodeDecodeError) as reason:
            service.report(name, f"{reason}. It was left as you wrote it")
    merged = merge(mine, base, theirs)
    if merged.conflicts:
        return
    service.path(name).write_bytes(merged.content)
    # The index holds what was committed, as it does for every other file that the update changed.
    service.git("reset", "--quiet", "--", f"./{name}")
