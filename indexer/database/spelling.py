"""By which path a library knows a file. Paths are bytes, absolute where a `Root` holds them."""

import os
from collections.abc import Sequence

from sqlalchemy import Connection, func, or_, select

from indexer.database.rows import Root
from indexer.database.schema import files
from indexer.values import nfc_path


def within(path: bytes, folder: bytes) -> bool:
    """Whether the absolute `path` is `folder` or lies in it."""
    return os.path.commonpath([path, folder]) == folder


def resolve(db: Connection, roots: Sequence[Root], path: bytes) -> bytes:
    """The absolute path by which a library knows `path`. Symbolic links in it are resolved, unless
    it lies in a root that follows them. Where only the form of its accents differs from a path on
    disk, or else in the library, it is taken for that."""
    plain = _respelled(db, roots, os.path.abspath(path))
    if any(root.follow_symlinks and within(plain, root.path) for root in roots):
        return plain
    return os.path.realpath(plain)


def _respelled(db: Connection, roots: Sequence[Root], path: bytes) -> bytes:
    if path.isascii() or os.path.lexists(path):
        return path
    if (on_disk := _on_disk(path)) is not None:
        return on_disk
    wanted = nfc_path(path)
    for root in roots:
        home = nfc_path(root.path)
        if within(home, wanted):
            return _head(root.path, wanted.count(b"/"))
        if within(wanted, home):
            rest = os.path.relpath(wanted, home)
            known = func.nfc_path(files.c.path)
            inside = or_(known == rest, func.substr(known, 1, len(rest) + 1) == rest + b"/")
            query = select(files.c.path).where(files.c.root_id == root.id, inside).limit(1)
            found = db.execute(query).scalar()
            if isinstance(found, bytes):
                return os.path.join(root.path, _head(found, rest.count(b"/")))
    return path


def _head(path: bytes, slashes: int) -> bytes:
    """The beginning of `path` with so many slashes."""
    return b"/".join(path.split(b"/")[: slashes + 1])


def _on_disk(path: bytes) -> bytes | None:
    """The path of an existing file that differs from `path` in the form of accents only."""
    found = b"/"
    for name in path.split(b"/")[1:]:
        exact = os.path.join(found, name)
        if not os.path.lexists(exact):
            try:
                alike = (other for other in os.listdir(found) if nfc_path(other) == nfc_path(name))
                exact = os.path.join(found, next(alike))
            except (OSError, StopIteration):
                return None
        found = exact
    return found
