"""A file that the new version has under another name keeps the owner's edits.

Copier knows no renames: it deletes the old path with the owner's edits in it and renders the new one fresh.
"""

import difflib
from collections.abc import Sequence

from merge import merge
from refused import Refused
from service import Service

__all__ = ["rename_file"]


def rename_file(service: Service, old: str, new: str, *, earlier: Sequence[str] = ()) -> None:
    """Carry the owner's edits of ``old`` into ``new``. It runs in the stage ``after``.

    ``earlier`` names what the file was called before ``old``, for updates from versions that old.

    - A file that the owner deleted stays deleted under its new name too.
    - A file that the owner renamed so already is merged there.
    - A file that the new version does not render, because it is the owner's, is moved as it is.
    - Edits that meet the template's leave the owner's version whole under the new name; what the template
      changed is printed. No marker is written.
    - Two files of the owner, one under each name, stay both as they were and are reported.
    """
    names = [old, *earlier]
    try:
        called = next((name for name in names if service.rendered_before(name) is not None), None)
    except Refused as reason:
        _restore(service, *names, new)
        service.report(old, f"{reason}. Move its content to {new} by hand")
        return
    if called is None:
        return
    if service.committed(called) is not None and service.committed(new) is not None:
        _restore(service, called, new)
        service.report(
            called, f"there was a {new} before. It was left as it is: move its content to {new} by hand"
        )
        return
    _rename(service, called, new)
    for name in names:
        service.path(name).unlink(missing_ok=True)


def _rename(service: Service, old: str, new: str) -> None:
    place, base = service.path(new), service.rendered_before(old)
    committed_as = new if service.committed(old) is None else old
    mine = service.committed(committed_as)
    if mine is None:
        place.unlink(missing_ok=True)
        return
    # Copier merges the new file into one of the owner's by itself; what it merged is in the index then.
    theirs = service.git("show", f":3:./{new}") or (place.read_bytes() if place.is_file() else None)
    if theirs is None or base is None:
        content = mine
    elif mine == base:
        content = theirs
    else:
        content = _carried(service, new, mine, base, theirs)
    _write(service, new, committed_as, content)


def _restore(service: Service, *names: str) -> None:
    for name in names:
        if (content := service.committed(name)) is not None:
            _write(service, name, name, content)


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
