"""The watched folders: what state they are in, where they went, and what is to be forgotten."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import Connection

from indexer.database import catalogue, checksums, journal, schema
from indexer.database.rows import Root
from indexer.errors import LibraryDamaged, RootsOverlap, SourceNotFound, UnknownPath
from indexer.folders import devices, watching
from indexer.folders.excludes import Excludes, literal
from indexer.folders.sources import kind_of
from indexer.folders.walk import exists, lies_in
from indexer.records import Forgotten, RootState, RootStatus


def statuses(db: Connection) -> list[RootStatus]:
    """Every root; looks at the disk."""
    files = catalogue.files_by_root(db)
    return [
        RootStatus(
            path=_path(root.path),
            recursive=root.recursive,
            files=files.get(root.id, 0),
            state=devices.state(root, b"", root.device, expect_files=root.id in files),
            follow_symlinks=root.follow_symlinks,
            exclude=root.exclude,
            away=tuple(
                (_path(root.at(place)), state) for place, state in _away(db, root, root.mounts)
            ),
        )
        for root in catalogue.all_roots(db)
    ]


def _away(
    db: Connection, root: Root, parts: Iterable[tuple[bytes, int | None]]
) -> Iterator[tuple[bytes, RootState]]:
    """Which of `parts`, that were on these devices, are not as they were when the files known in
    them were seen, and what they are now."""
    for place, device in parts:
        if catalogue.files_within(db, root.id, place):
            state = devices.state(root, place, device, expect_files=True)
            if state != "ok":
                yield place, state


def check(db: Connection, file: Path) -> None:
    """LibraryDamaged unless every root says what was written: it decides what is forgotten."""
    if any(checksums.damaged_rows(db, schema.roots)):
        raise LibraryDamaged(
            f"{file} holds a watched folder that is not what was written: run `align repair`"
        )


def move(db: Connection, old: Path, new: Path) -> None:
    """The root `old` is the folder `new` from now on; what is known of its files stays.

    Raises UnknownPath where `old` is no root, SourceNotFound where `new` is no folder or holds none
    of the files that are known, RootsOverlap where another root watches `new` or a part of it.
    """
    roots = catalogue.all_roots(db)
    names = (os.path.abspath(os.fsencode(old)), os.path.realpath(os.fsencode(old)))
    root = next((root for name in names for root in roots if root.path == name), None)
    if root is None:
        listed = ", ".join(os.fsdecode(root.path) for root in roots) or "there are none"
        raise UnknownPath(f"{old} is not a watched folder; name one of these: {listed}")
    folder = os.path.realpath(os.fsencode(new))
    if not os.path.isdir(folder):
        raise SourceNotFound(f"{new} is not a folder; move or copy the files first")
    for other in roots:
        inside = other.recursive and catalogue.within(folder, other.path)
        around = root.recursive and catalogue.within(other.path, folder)
        if other != root and (inside or around or folder == other.path):
            raise RootsOverlap(
                f"{new} overlaps the watched folder {os.fsdecode(other.path)}; stop watching that"
                " with `align forget`, or name another place"
            )
    watching.relocate(db, root.id, folder)
    known = catalogue.known_files(db, root.id, None)
    there = next(moved for moved in catalogue.all_roots(db) if moved.id == root.id)
    if known and not any(exists(there, file.path, unsure=False) for file in known):
        raise SourceNotFound(
            f"{new} holds none of the {len(known):,} files known in {old}; check the path"
        )


def forget(db: Connection, paths: Sequence[Path]) -> Forgotten:
    """Forget the items of files, folders and whole roots, wherever they are on disk or gone.

    What a run would find again is excluded from its root, and from one that is away what it may
    find. Raises UnknownPath where nothing is known at one of `paths`; then the caller must roll
    back.
    """
    roots = catalogue.all_roots(db)
    chosen: dict[Root, set[bytes]] = {}
    for given in paths:
        path = catalogue.resolve(roots, os.fsencode(given))
        places = [(root, place) for root in roots if (place := _place(db, root, path)) is not None]
        if not places:
            raise UnknownPath(
                f"the library knows nothing at {given}; check the spelling (`align roots` lists the"
                " watched folders), nothing was forgotten"
            )
        for root, place in places:
            chosen.setdefault(root, set()).add(place)

    items, dropped, excluded = 0, list[Path](), list[Path]()
    for root, inside in chosen.items():
        away = [part for part, _ in _away(db, root, [(b"", root.device), *root.mounts])]
        for place in sorted(inside):
            items += journal.delete_files(db, catalogue.files_within(db, root.id, place))
        if b"" in inside or not (root.recursive or catalogue.files_within(db, root.id, b"")):
            watching.unwatch(db, root.id)
            dropped.append(_path(root.path))
            continue
        globs = list(root.exclude)
        for place in sorted(inside):
            if _may_return(root, place, away=lies_in(place, away)) and not Excludes(globs).cover(
                place
            ):
                globs.append(literal(place))
                excluded.append(_path(root.at(place)))
        watching.watch_how(db, root, exclude=globs, follow_symlinks=root.follow_symlinks)
    return Forgotten(items, tuple(dropped), tuple(excluded))


def _place(db: Connection, root: Root, path: bytes) -> bytes | None:
    """What `path` means in a root: b"" for all of it, None where nothing is known there."""
    if catalogue.within(root.path, path):
        return b""
    if not catalogue.within(path, root.path):
        return None
    place = os.path.relpath(path, root.path)
    return place if catalogue.files_within(db, root.id, place) else None


def _may_return(root: Root, place: bytes, *, away: bool) -> bool:
    """Whether a run that excludes nothing may find something there again: of what is `away` nobody
    can tell what will be there when it is back."""
    absolute, kind = root.at(place), kind_of(place)
    picture = kind == "image" and (away or os.path.exists(absolute))
    folder = os.path.isdir(absolute) or (away and kind is None)
    return root.recursive and (picture or folder)


def _path(path: bytes) -> Path:
    return Path(os.fsdecode(path))
