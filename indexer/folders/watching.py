"""Changes of the roots: which folders are watched, and how."""

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import Connection, LargeBinary, cast, delete, insert, literal, update
from sqlalchemy.dialects.sqlite import insert as upsert

from indexer.database import connection
from indexer.database.catalogue import all_roots
from indexer.database.rows import Root
from indexer.database.schema import files, imports, roots
from indexer.database.spelling import within
from indexer.folders import excludes


def watch(db: Connection, folder: bytes, *, recursive: bool) -> None:
    """Make the absolute `folder` a root. Roots inside a recursive root become part of it.

    A root around the folder that holds the library directory, or in that folder, is stored relative
    to it, so that both can be moved together.
    """
    statement = upsert(roots).values(**_location(db, folder), recursive=recursive)
    db.execute(
        statement.on_conflict_do_update(
            index_elements=["path", "relative"], set_={"recursive": statement.excluded.recursive}
        )
    )
    if not recursive:
        return
    for inner in all_roots(db):
        if inner.path != folder and within(inner.path, folder):
            outer = next(root for root in all_roots(db) if root.path == folder)
            _absorb(db, inner, outer)


def watch_imports(db: Connection, folder: bytes) -> int:
    """The id of the root of what is imported, which lies at `folder`."""
    watch(db, folder, recursive=False)
    root = next(root for root in all_roots(db) if root.path == folder)
    if not root.imported:
        row = {"root_id": root.id, "at": datetime.now(UTC).isoformat()}
        db.execute(insert(imports).values(row))
    return root.id


def _location(db: Connection, folder: bytes) -> dict[str, object]:
    home = connection.home(db)
    relative = within(home, folder) or within(folder, home)
    return {"path": os.path.relpath(folder, home) if relative else folder, "relative": relative}


def _absorb(db: Connection, inner: Root, outer: Root) -> None:
    """Make the root `inner` a part of the root `outer`. Its exclusions stay, and links are followed
    if it followed them. If it is not mounted now, its files wait for it as before."""
    folder = os.path.relpath(inner.path, outer.path)
    watch_how(
        db,
        outer,
        exclude=[*outer.exclude, *excludes.below(inner.exclude, folder)],
        follow_symlinks=outer.follow_symlinks or inner.follow_symlinks,
    )
    mounts = [*outer.mounts, *((os.path.join(folder, path), dev) for path, dev in inner.mounts)]
    if inner.device is not None:
        mounts.append((folder, inner.device))
    set_devices(db, replace(outer, mounts=tuple(sorted(mounts))))
    prefix = os.path.join(folder, b"")
    longer = cast(literal(prefix, LargeBinary).op("||")(files.c.path), LargeBinary)
    moved = update(files).where(files.c.root_id == inner.id)
    db.execute(moved.values(root_id=outer.id, path=longer))
    unwatch(db, inner.id)


def watch_how(db: Connection, root: Root, *, exclude: Iterable[str], follow_symlinks: bool) -> None:
    """Remember which globs a root excludes and whether it follows symbolic links."""
    globs = json.dumps(excludes.normalised(exclude))
    row = {"exclude": globs, "follow_symlinks": follow_symlinks}
    db.execute(update(roots).where(roots.c.id == root.id).values(row))


def set_devices(db: Connection, root: Root) -> None:
    """Remember the device that a root is on, and the devices that are mounted below it."""
    mounts = json.dumps([(os.fsdecode(path), device) for path, device in root.mounts])
    row = {"device": root.device, "mounts": mounts}
    db.execute(update(roots).where(roots.c.id == root.id).values(row))


def relocate(db: Connection, root_id: int, folder: bytes) -> None:
    """Move a root to the absolute `folder`. What is known about its files stays."""
    db.execute(update(roots).where(roots.c.id == root_id).values(_location(db, folder)))


def unwatch(db: Connection, root_id: int) -> None:
    """Forget a root whose files are all forgotten."""
    db.execute(delete(roots).where(roots.c.id == root_id))
