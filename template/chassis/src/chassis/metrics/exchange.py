"""The exchange: every worker writes what it measured to a file of its own and reads those of the others.

    <worker>.json     replaced by rename, so a reader sees the old or the new one, never half of one
    <worker>.tmp      what becomes it
    dead.json         the sum of the workers that died, so that the directory does not grow
    compact.lock      held by the one worker that adds to that sum

Three rules make the values of any two scrapes comparable, whichever workers answer them:

1. A worker writes before it answers a scrape. Another worker that answers the next one reads a file that is
   not older than what was already told, so no counter goes back.
2. A worker holds a lock on its file while it lives; the kernel frees it even after SIGKILL. A file that
   nobody holds is final: its counters and histograms stay in the sum, its gauges end.
3. The sum names the files that it contains. A reader ignores those, so it does not matter when they are
   removed, or whether the remover is killed halfway. A reader during whose reading the sum was replaced
   reads again.
"""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from chassis.metrics.directory import is_locked
from chassis.metrics.families import CUMULATIVE, Family, Source, dump, load, merge

_DEAD = "dead.json"
_READS = 10
_LEFTOVER_SECONDS = 60


class _Found(NamedTuple):
    path: Path
    source: Source


class Exchange:
    """One worker's place in the directory. Not thread-safe: `Metrics` calls it under its lock."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._worker = str(os.getpid())
        # A process id comes back after a while, and one process may hold two applications.
        self._path = directory / f"{self._worker}-{secrets.token_hex(4)}.json"
        self._descriptor: int | None = None
        self.closed = False

    def write(self, families: list[Family]) -> None:
        """Publish these values. Raise OSError when the directory is full or gone."""
        temporary = self._path.with_suffix(".tmp")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(dump(self._worker, families))
            temporary.replace(self._path)
        except OSError:
            os.close(descriptor)
            raise
        self._release()
        self._descriptor = descriptor

    def merged(self, own: list[Family]) -> list[Family]:
        """Return these values combined with those of all the other workers, living and dead."""
        return merge([Source(self._worker, alive=True, families=own), *self.others()])

    def others(self) -> list[Source]:
        """Return what the other workers have published. After `close` that includes what this one had."""
        sources: list[Source] = []
        for _ in range(_READS):
            before = self._identity()
            families, absorbed = self._dead()
            sources = [Source("", alive=False, families=families)]
            sources += [found.source for found in self._files() if found.path.stem not in absorbed]
            if self._identity() == before:
                break
        return sources

    def compact(self) -> None:
        """Add the files of dead workers to the sum and remove them, unless another worker does it now."""
        with self._alone() as alone:
            if not alone:
                return
            self._remove_leftovers()
            families, absorbed = self._dead()
            found = list(self._files())
            # Those that an earlier compaction counted, and was killed before it removed them.
            for file in found:
                if file.path.stem in absorbed:
                    file.path.unlink(missing_ok=True)
            final = [file for file in found if not file.source.alive and file.path.stem not in absorbed]
            if not final:
                return
            self._add_to_dead(families, final)
            for file in final:
                file.path.unlink(missing_ok=True)

    def close(self, families: list[Family]) -> None:
        """Publish the last values; from here on this worker is one of the dead."""
        try:
            self.write(families)
        finally:
            self.closed = True
            self._release()

    def _release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _files(self) -> Iterator[_Found]:
        for path in sorted(self._directory.glob("*.json")):
            if path.name != _DEAD and (path != self._path or self.closed):
                source = _read(path)
                if source is not None:
                    yield _Found(path, source)

    def _dead(self) -> tuple[list[Family], set[str]]:
        try:
            _, families, absorbed = load((self._directory / _DEAD).read_bytes())
        except (OSError, ValueError):
            return [], set()
        return families, set(absorbed)

    def _add_to_dead(self, families: list[Family], final: list[_Found]) -> None:
        sources = [Source("", alive=False, families=families), *(file.source for file in final)]
        total = [family for family in merge(sources) if family.type in CUMULATIVE]
        temporary = self._directory / "dead.tmp"
        temporary.write_bytes(dump("", total, (file.path.stem for file in final)))
        temporary.replace(self._directory / _DEAD)

    def _identity(self) -> tuple[int, int, int] | None:
        with suppress(OSError):
            status = (self._directory / _DEAD).stat()
            return status.st_ino, status.st_mtime_ns, status.st_size
        return None

    def _remove_leftovers(self) -> None:
        # Of a worker that was killed between making its file and renaming it.
        for path in self._directory.glob("*.tmp"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _LEFTOVER_SECONDS:
                    path.unlink()

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        descriptor = os.open(self._directory / "compact.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(descriptor)


def _read(path: Path) -> Source | None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None  # compacted, or renamed over, since it was listed
    try:
        alive = is_locked(descriptor) or _replaced(path, descriptor)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            worker, families, _ = load(file.read())
    except ValueError:
        return None
    finally:
        os.close(descriptor)
    return Source(worker, alive, families)


def _replaced(path: Path, descriptor: int) -> bool:
    """Tell whether the owner has just renamed a newer file over this one, whose lock is free then."""
    try:
        return path.stat().st_ino != os.fstat(descriptor).st_ino
    except OSError:
        return False
