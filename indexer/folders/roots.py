"""The watched folders: show their states, move them, forget them or parts of them."""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import Connection, and_, select, tuple_

from indexer.database import catalogue, checksums, journal, schema, spelling
from indexer.database.rows import Root
from indexer.errors import FieldUnknown, LibraryDamaged, RootsOverlap, SourceNotFound, UnknownPath
from indexer.folders import devices, watching
from indexer.folders.excludes import Excludes, literal
from indexer.folders.sources import kind_of
from indexer.folders.walk import exists, lies_in
from indexer.records import Forgotten, RootState, RootStatus, Speaker


def statuses(db: Connection) -> list[RootStatus]:
    """Every root with its state; looks at the disk."""
    files = catalogue.files_by_root(db)
    return [
        RootStatus(
            path=_path(root.path),
            recursive=root.recursive,
            files=files.get(root.id, 0),
            state=devices.state(root, b"", root.device, expect_files=root.id in files),
            follow_symlinks=root.follow_symlinks,
            exclude=root.exclude,
            imported=root.imported,
            away=tuple(
                (_path(root.at(folder)), state) for folder, state in _away(db, root, root.mounts)
            ),
        )
        for root in catalogue.all_roots(db)
    ]


def _away(
    db: Connection, root: Root, folders: Iterable[tuple[bytes, int | None]]
) -> Iterator[tuple[bytes, RootState]]:
    """The folders of a root that hold known files but are not in order now, with their states.
    `folders` gives each with the device that it was on."""
    for folder, device in folders:
        if catalogue.knows_any_file(db, root.id, folder):
            state = devices.state(root, folder, device, expect_files=True)
            if state != "ok":
                yield folder, state


def check(db: Connection, file: Path) -> None:
    """Raise LibraryDamaged if the row of any root is damaged: roots decide which items a run
    forgets."""
    if any(checksums.damaged_rows(db, schema.roots)):
        raise LibraryDamaged(
            f"{file} holds a watched folder that is not what was written: run `align repair`"
        )


def move(db: Connection, old: Path, new: Path) -> None:
    """Move the root `old` to the folder `new`. What is known about its files stays.

    Raises UnknownPath if `old` is no root, SourceNotFound if `new` is no folder or holds none of
    the known files, and RootsOverlap if another root watches `new` or a part of it. The caller must
    then roll back.
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
        inside = other.recursive and spelling.within(folder, other.path)
        around = root.recursive and spelling.within(other.path, folder)
        if other != root and (inside or around or folder == other.path):
            raise RootsOverlap(
                f"{new} overlaps the watched folder {os.fsdecode(other.path)}; stop watching that"
                " with `align forget`, or name another place"
            )
    watching.relocate(db, root.id, folder)
    known = catalogue.known_files(db, root.id, None)
    moved = next(other for other in catalogue.all_roots(db) if other.id == root.id)
    if known and not any(exists(moved, file.path, unsure=False) for file in known):
        raise SourceNotFound(
            f"{new} holds none of the {len(known):,} files known in {old}; check the path"
        )


def forget(db: Connection, paths: Sequence[Path], *, ignore_unknown: bool = False) -> Forgotten:
    """Forget the items of files, folders and whole roots, whether or not they still exist.

    A path that a run would find again is excluded from its root. While a root is away, every path
    is excluded that a run may find there later. Raises UnknownPath if nothing is known at one of
    `paths`, or with `ignore_unknown` names such paths. The caller must then roll back.
    """
    items, dropped, excluded = 0, list[Path](), list[Path]()
    unknown: list[Path] | None = [] if ignore_unknown else None
    for root, parts in _chosen(db, paths, unknown).items():
        away = [folder for folder, _ in _away(db, root, [(b"", root.device), *root.mounts])]
        files = {id for ids in parts.values() for id in ids}
        annotated = catalogue.annotated_contents(db, files)
        items += journal.delete_files(db, files)
        journal.forget_unheld(db, annotated)
        if b"" in parts or not (root.recursive or catalogue.knows_any_file(db, root.id, b"")):
            watching.unwatch(db, root.id)
            dropped.append(_path(root.path))
            continue
        excludes, left_out = Excludes(root.exclude), set[bytes]()
        for part in sorted(parts):
            may_return = _may_return(root, part, away=lies_in(part, away))
            if may_return and not (excludes.cover(part) or lies_in(part, left_out)):
                left_out.add(part)
                excluded.append(_path(root.at(part)))
        globs = [*root.exclude, *map(literal, sorted(left_out))]
        watching.watch_how(db, root, exclude=globs, follow_symlinks=root.follow_symlinks)
    return Forgotten(items, tuple(dropped), tuple(excluded), tuple(unknown or ()))


def forget_fields(
    db: Connection, names: Collection[str] | None, paths: Sequence[Path], speaker: Speaker | None
) -> int:
    """Forget what was said of the items at `paths`, or of all items without any, under `names`;
    see `Library.forget_fields`."""
    a = schema.annotations.c
    chosen = [a.speaker == speaker if speaker else a.speaker != "file"]
    if names is not None:
        for name in names:
            if not db.execute(select(a.name).where(a.name == name, *chosen).limit(1)).first():
                raise FieldUnknown(
                    f"nobody said anything as the field {name!r}; check the spelling, nothing was"
                    " forgotten"
                )
        chosen.append(a.name.in_(names))
    if paths:
        ids = [
            id for parts in _chosen(db, paths).values() for files in parts.values() for id in files
        ]
        held = select(schema.items.c.kind, schema.items.c.digest).where(
            catalogue.among(schema.items.c.file_id, ids)
        )
        chosen.append(tuple_(a.kind, a.digest).in_(held))
    return journal.take_back(db, and_(*chosen))


def _chosen(
    db: Connection, paths: Iterable[Path], unknown: list[Path] | None = None
) -> dict[Root, dict[bytes, list[int]]]:
    """The parts of roots that `paths` mean, with the ids of the files there; b"" is a whole root.
    Paths at which nothing is known are put into `unknown`; without it, UnknownPath is raised."""
    roots = catalogue.all_roots(db)
    chosen: dict[Root, dict[bytes, list[int]]] = {}
    for given in paths:
        path = spelling.resolve(db, roots, os.fsencode(given))
        known = False
        for root in roots:
            if spelling.within(root.path, path):
                part = b""
            elif spelling.within(path, root.path):
                part = os.path.relpath(path, root.path)
            else:
                continue
            files = catalogue.files_within(db, root.id, part)
            if files or not part:
                chosen.setdefault(root, {})[part] = files
                known = True
        if not known and unknown is not None:
            unknown.append(given)
        elif not known:
            raise UnknownPath(
                f"the library knows nothing at {given}; check the spelling (`align roots` lists the"
                " watched folders), nothing was forgotten"
            )
    return chosen


def _may_return(root: Root, part: bytes, *, away: bool) -> bool:
    """Whether a run without exclusions may find something at `part` of a root again. If that is
    `away`, anything may be there when it comes back."""
    path, kind = root.at(part), kind_of(part)
    picture = kind == "image" and (away or os.path.exists(path))
    folder = os.path.isdir(path) or (away and kind is None)
    return root.recursive and (picture or folder)


def _path(path: bytes) -> Path:
    return Path(os.fsdecode(path))
