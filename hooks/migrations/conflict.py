"""A conflict that the update left in a merged file, settled by knowing what the template's change means."""

from collections.abc import Callable

from merge import merge
from refused import Refused
from service import Service

__all__ = ["settle"]

# Where git keeps the three versions of an unmerged file.
BASE, MINE, THEIRS = 1, 2, 3


def settle(service: Service, name: str, change: Callable[[str], str]) -> None:
    """Merge an unmerged file again, after making the template's change by meaning. For the stage ``after``.

    ``change`` is made to the version that the file began from, where it must leave what the template has,
    and to the owner's version. What it refuses in the owner's stays as the owner wrote it and is reported.
    Both sides then agree about the place, so that only other lines can still conflict; if they do, the file
    stays unmerged as Copier left it. A file without conflict is not touched.
    """
    versions = [service.git("show", f":{stage}:./{name}") for stage in (BASE, MINE, THEIRS)]
    base, mine, theirs = versions
    if base is None or mine is None or theirs is None:
        return
    try:
        base = change(base.decode()).encode()
    except (Refused, UnicodeDecodeError):
        return
    try:
        mine = change(mine.decode()).encode()
    except (Refused, UnicodeDecodeError) as reason:
        service.report(name, f"{reason}. It was left as you wrote it: make this change by hand")
    merged = merge(mine, base, theirs)
    if merged.conflicts:
        return
    service.path(name).write_bytes(merged.content)
    # The index holds what was committed, as it does for every other file that the update changed.
    service.git("reset", "--quiet", "--", f"./{name}")
