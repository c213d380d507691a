"""Which roots, and which parts of them, the paths given to `Library.index` mean."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection

from encoder.images import EXTENSIONS
from indexer import catalogue, journal, texts
from indexer.catalogue import Root
from indexer.errors import SourceNotFound, UnsupportedFile
from indexer.records import Kind


def ending(path: bytes) -> str:
    """The file name's ending in lower case, with its dot."""
    return os.path.splitext(os.fsdecode(path))[1].lower()


def kind_of(path: bytes) -> Kind | None:
    """What the ending promises; None for neither pictures nor texts."""
    if ending(path) in EXTENSIONS:
        return "image"
    return "text" if ending(path) in texts.ENDINGS else None


def parts_to_scan(
    db: Connection, home: bytes, sources: Sequence[Path], *, everything: bool
) -> dict[Root, set[bytes]]:
    """Watch `sources` and return each root concerned with the paths in it to look at.

    A path is relative to its root, b"" for the whole of it. With `everything`, or without sources,
    all roots are looked at as a whole as well. Raises SourceNotFound or UnsupportedFile.
    """
    paths = [os.path.realpath(os.fsencode(source)) for source in sources]
    known = {root.path for root in catalogue.all_roots(db, home)}
    shapes = {path: "folder" if path in known else _shape(path) for path in paths}
    for path in sorted(paths, key=lambda path: shapes[path] == "file"):
        roots = catalogue.all_roots(db, home)
        if shapes[path] == "folder" and not _holder(roots, path, recursive=True):
            journal.watch(db, home, path, recursive=True)
        elif shapes[path] == "file" and not _holder(roots, path):
            journal.watch(db, home, os.path.dirname(path), recursive=False)

    roots = catalogue.all_roots(db, home)
    parts: dict[Root, set[bytes]] = {}
    for path in paths:
        root = _holder(roots, path, recursive=shapes[path] == "folder")
        assert root is not None  # watched above
        inside = b"" if path == root.path else os.path.relpath(path, root.path)
        parts.setdefault(root, set()).add(inside)
    if everything or not sources:
        for root in roots:
            parts.setdefault(root, set()).add(b"")
    return parts


def _shape(path: bytes) -> Literal["folder", "file"]:
    if os.path.isdir(path):
        return "folder"
    if not os.path.exists(path):
        raise SourceNotFound(
            f"{os.fsdecode(path)} does not exist; check the spelling, or run `align index` without"
            " a path to forget files that are gone"
        )
    if not os.path.isfile(path) or kind_of(path) is None:
        pictures = " ".join(sorted(EXTENSIONS))
        raise UnsupportedFile(
            f"{os.fsdecode(path)} is neither a picture ({pictures}) nor a file of texts"
            f" ({' '.join(sorted(texts.ENDINGS))}); convert it or rename it"
        )
    return "file"


def _holder(roots: Sequence[Root], path: bytes, *, recursive: bool = False) -> Root | None:
    """The root that watches `path`; with `recursive`, the one that watches the folder `path`."""
    for root in roots:
        if root.recursive and catalogue.within(path, root.path):
            return root
        if not recursive and root.path == os.path.dirname(path):
            return root
    return None
