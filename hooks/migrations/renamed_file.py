"""A file that the new version has under another name keeps the owner's edits.

Copier knows no renames: it deletes the old path with the owner's edits in it and renders the new one fresh.
"""

import difflib

from merge import merge
from refused import Refused
from service import Service

__all__ = ["rename_file"]


def rename_file(service: Service, old: str, new: str) -> None:
    """Carry the owner's edits of ``old`` into ``new``. It belongs into the stage ``after``.

    - A file that the owner deleted stays deleted under its new name too.
    - A file that the owner renamed so already is merged there.
    - A file that the new version does not render, because it is the owner's, is moved as it is.
    - Edits that meet the template's leave the owner's version whole under the new name; what the template
      changed is printed. No marker is written.
    - Two files of the owner, one under each name, stay both as they were and are reported.
    """
    mine, there = service.committed(old), service.committed(new)
    try:
        _rename(service, old, new, mine, there)
    except Refused as reason:
        for name, content in ((old, mine), (new, there)):
            if content is not None:
                _write(service, name, name, content)
        service.report(old, f"{reason}. It was left as it is: move its content to {new} by hand")


def _rename(service: Service, old: str, new: str, mine: bytes | None, there: bytes | None) -> None:
    if mine is not None and there is not None:
        raise Refused(f"there was a {new} before")
    after = service.path(new)
    base = service.rendered_before(old)
    if base is None:
        return
    mine = there if mine is None else mine
    if mine is None:
        after.unlink(missing_ok=True)
        return
    # Copier merges the new file into one of the owner's by itself; what it merged is in the index then.
    theirs = service.git("show", f":3:./{new}") or (after.read_bytes() if after.is_file() else None)
    if theirs is None:
        content = mine
    elif mine == base:
        content = theirs
    else:
        content = _carried(service, new, mine, base, theirs)
    _write(service, new, old if there is None else new, content)
    service.path(old).unlink(missing_ok=True)


def _write(service: Service, name: str, committed_as: str, content: bytes) -> None:
    """Write a file, executable if it was when it was committed, and end a conflict that Copier left."""
    place = service.path(name)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    entry = service.git("ls-tree", "HEAD", f"./{committed_as}")
    if entry and entry.startswith(b"100755"):
        place.chmod(place.stat().st_mode | 0o111)
    if service.git("ls-files", "--unmerged", "--", f"./{name}"):
        service.git("reset", "--quiet", "--", f"./{name}")


def _carried(service: Service, new: str, mine: bytes, base: bytes, theirs: bytes) -> bytes:
    try:
        merged = merge(mine, base, theirs)
    except Refused as reason:
        service.report(new, f"{reason}. Yours was kept whole")
        return mine
    if not merged.conflicts:
        return merged.content
    change = difflib.unified_diff(
        base.decode(errors="replace").splitlines(),
        theirs.decode(errors="replace").splitlines(),
        "before",
        "after",
        lineterm="",
    )
    service.report(
        new,
        "your edits and the template's meet here. Yours was kept whole; make the template's change by hand:\n"
        + "\n".join(change)
        + "\n",
    )
    return mine
