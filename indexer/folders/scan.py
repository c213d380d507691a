"""What changed on disk since the last run, found without opening a file.

A scan of a root looks at the disk (`look`), compares it with the known files, and leaves alone what
seems to be away (`guard`).
"""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from indexer.database import catalogue, journal
from indexer.database.rows import File, Root
from indexer.folders import devices, guard, watching
from indexer.folders.disk import Disk, look
from indexer.folders.excludes import Excludes
from indexer.folders.sources import parts_to_scan
from indexer.folders.walk import lies_in
from indexer.metadata.sidecars import Sidecars


@dataclass(frozen=True)
class Found:
    """A file that must be read."""

    root: Root
    path: bytes
    """Relative to the root."""
    size: int
    """Bytes."""
    mtime_ns: int
    known: File | None
    """What the last run recorded of it; None for a new file."""
    sidecars: Sidecars | None = None

    @property
    def stamp(self) -> str | None:
        """The stamp of its sidecars; None without any."""
        return self.sidecars.stamp if self.sidecars else None

    @property
    def has_new_sidecars(self) -> bool:
        """Whether its sidecars differ from those of the last run."""
        return self.stamp != (self.known.sidecar if self.known else None)

    @property
    def absolute(self) -> bytes:
        """Where to open it."""
        return self.root.at(self.path)

    @property
    def touched(self) -> bool:
        """Whether its size or time differs from the last run."""
        known = self.known
        return known is None or (self.size, self.mtime_ns) != (known.size, known.mtime_ns)

    def is_known_as(self, digest: bytes) -> bool:
        """Whether bytes with this SHA-256 are those of the last run and nothing is left to do with
        them. A file with bad bytes is tried again when someone touches it."""
        known = self.known
        if known is None or known.digest != digest or known.lacking or known.passing:
            return False
        return not (known.failed and self.touched)


@dataclass(frozen=True)
class Scan:
    """The differences between the disk and the database."""

    found: Sequence[Found] = ()
    """By root and path: files that are new, changed or racy, could not be read, have other sidecars
    than before, or whose items lack an embedding."""
    gone: Sequence[File] = ()
    """By root and path: files that are no longer there, or are excluded."""
    unchanged: int = 0
    """Live items in files that need not be opened."""
    unavailable: Sequence[str] = ()
    """Why a root or a folder mounted below it was left alone, and the remedy: a sentence each."""
    roots: Sequence[Root] = ()
    """Roots on other devices than the library remembers, as they are now."""
    passed_over: Mapping[str, int] = field(default_factory=dict)
    """How many files are not read, by the ending in lower case."""


def scan_sources(
    db: Connection,
    sources: Sequence[Path],
    model_id: int | None,
    *,
    reembed: bool,
    allow_missing: bool,
    exclude: Sequence[str] | None,
    follow_symlinks: bool | None,
) -> Scan:
    """What `Library.index` has to do for `sources`. Their roots are watched from now on. Every item
    must have an embedding of the model with the id `model_id`."""
    parts = parts_to_scan(
        db, sources, everything=reembed, exclude=exclude, follow_symlinks=follow_symlinks
    )
    scans = []
    for root in sorted(parts, key=lambda root: root.id):
        # Only a walk of the whole root tells which of several links to a folder counts.
        linked = root.follow_symlinks and root.recursive
        looked_at = parts[root] | {b""} if linked else parts[root]
        known = catalogue.known_files(db, root.id, model_id, looked_at)
        everything_known = partial(catalogue.known_files, db, root.id, model_id)
        found = scan(root, looked_at, known, everything_known, allow_missing=allow_missing)
        if b"" in looked_at and not found.unavailable:
            journal.put_passed_over(db, root.id, found.passed_over)
        scans.append(found)
    for root in (root for each in scans for root in each.roots):
        watching.set_devices(db, root)
    return Scan(
        found=[file for each in scans for file in each.found],
        gone=[file for each in scans for file in each.gone],
        unchanged=sum(each.unchanged for each in scans),
        unavailable=[sentence for each in scans for sentence in each.unavailable],
        roots=[root for each in scans for root in each.roots],
        passed_over=dict(sum((Counter(each.passed_over) for each in scans), Counter())),
    )


def scan(
    root: Root,
    parts: Set[bytes],
    known: Collection[File],
    everything_known: Callable[[], Collection[File]],
    *,
    allow_missing: bool = False,
) -> Scan:
    """Compare the `parts` of a root (relative paths, b"" for the whole root) with the files `known`
    in them. `everything_known` returns all known files of the root; it is called only if something
    seems to be missing.

    A root that cannot be read is left alone. So is one that misses files and holds none at all, or
    lies on another device than before, unless `allow_missing`. The same holds for a folder that was
    on another device than the folder above it.
    """
    in_scope = {file.path: file for file in known}
    try:
        os.scandir(root.path).close()
        device = os.stat(root.path).st_dev
    except (FileNotFoundError, NotADirectoryError):
        if allow_missing:
            return Scan(gone=_by_path(in_scope.values()))
        return Scan(unavailable=[guard.sentence(root, b"", "does not exist", everything_known())])
    except OSError as error:
        return Scan(unavailable=[guard.unreadable(root, error)])

    excludes = Excludes(root.exclude)
    disk = look(root, parts, in_scope.keys(), excludes)
    compared = _compare(root, disk, in_scope, excludes)
    away, unavailable = dict[bytes, str](), list[str]()
    if compared.missing and not allow_missing:
        everything = everything_known()
        away = guard.folders_away(root, everything, compared.missing, disk.files.keys())
        unavailable = [guard.sentence(root, at, reason, everything) for at, reason in away.items()]
    if b"" in away:
        return Scan(unavailable=unavailable)
    compared = compared.without(away)
    now = _with_devices(root, device, parts, compared.present, away)
    return Scan(
        found=compared.found,
        gone=_by_path([*compared.missing, *compared.excluded]),
        unchanged=sum(file.items for file in (*compared.settled, *compared.uncertain)),
        unavailable=unavailable,
        roots=[now] if now != root else (),
        passed_over=disk.passed_over,
    )


@dataclass(frozen=True)
class _Comparison:
    """Each file of the parts that were looked at, on disk or known, is in one of these."""

    found: Sequence[Found]
    settled: Sequence[File]
    """Files that need not be opened."""
    missing: Sequence[File]
    """Known files that are not on disk, unless they are among the next two."""
    excluded: Sequence[File]
    uncertain: Sequence[File]
    """Known files that may be there or not; nothing is deleted on a guess."""

    @property
    def present(self) -> list[bytes]:
        """The paths of the files that are on disk."""
        return [*(each.path for each in self.found), *(file.path for file in self.settled)]

    def without(self, folders: Collection[bytes]) -> "_Comparison":
        """The same apart from what lies, or lay, in `folders`."""
        return replace(
            self,
            found=[each for each in self.found if not lies_in(each.path, folders)],
            settled=[file for file in self.settled if not lies_in(file.path, folders)],
            missing=[file for file in self.missing if not lies_in(file.path, folders)],
        )


def _compare(
    root: Root, disk: Disk, known: Mapping[bytes, File], excludes: Excludes
) -> _Comparison:
    """The second step of a scan: compare the disk with the `known` files, by path."""
    found, settled = list[Found](), list[File]()
    for path, status in sorted(disk.files.items()):
        before = known.get(path)
        sidecars = disk.sidecars.get(path)
        file = Found(root, path, status.st_size, status.st_mtime_ns, before, sidecars)
        if before and _is_settled(before, file):
            settled.append(before)
        else:
            found.append(file)
    missing, excluded, uncertain = list[File](), list[File](), list[File]()
    for path in known.keys() - disk.files.keys():
        if excludes.cover(path):
            excluded.append(known[path])
        elif path in disk.uncertain:
            uncertain.append(known[path])
        else:
            missing.append(known[path])
    return _Comparison(found, settled, missing, excluded, uncertain)


def _is_settled(known: File, found: Found) -> bool:
    """Whether the file need not be opened. A file that could not be read, or that failed for a
    reason that may pass, is tried at every run: neither a network that works again nor memory that
    is free again leaves a trace in the file's time."""
    if found.touched or found.has_new_sidecars or known.passing:
        return False
    return known.digest is not None and not (known.racy or known.lacking)


def _with_devices(
    root: Root, device: int, parts: Set[bytes], present: Iterable[bytes], away: Collection[bytes]
) -> Root:
    """The root with the devices that it is on now: `device` itself, and those mounted below it.

    Mounts that are away, or were not looked at as a whole, stay as they are remembered.
    """
    kept = [
        (folder, number)
        for folder, number in root.mounts
        if lies_in(folder, away) or not lies_in(folder, parts)
    ]
    mounts = dict([*devices.mounts_above(root, present), *kept])
    return replace(
        root,
        device=device if b"" in parts or root.device is None else root.device,
        mounts=tuple(sorted(mounts.items())),
    )


def _by_path(files: Iterable[File]) -> list[File]:
    return sorted(files, key=lambda file: file.path)
