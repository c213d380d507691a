"""Which roots, and which parts of them, the paths given to `Library.index` mean."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection

from encoder.pictures.picture import EXTENSIONS
from indexer.database import catalogue
from indexer.database.rows import Root
from indexer.errors import SourceExcluded, SourceNotFound, UnsupportedFile
from indexer.folders import watching
from indexer.folders.excludes import Excludes, literal, normalised
from indexer.metadata import texts
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
    db: Connection,
    sources: Sequence[Path],
    *,
    everything: bool,
    exclude: Sequence[str] | None = None,
    follow_symlinks: bool | None = None,
) -> dict[Root, set[bytes]]:
    """Watch `sources` and return each root concerned with the paths in it to look at.

    A path is relative to its root, b"" for the whole of it. With `everything`, or without sources,
    all roots are looked at as a whole as well. `exclude` and `follow_symlinks`, unless None,
    replace what the roots of the sources, or without sources all roots, had remembered. Whoever
    names a path that was excluded by its own name wants it back.

    Raises SourceNotFound, SourceExcluded or UnsupportedFile.
    """
    roots = catalogue.all_roots(db)
    paths = [catalogue.resolve(roots, os.fsencode(source)) for source in sources]
    known = {root.path for root in roots}
    shapes = {path: "folder" if path in known else _shape(path) for path in paths}
    for path in sorted(paths, key=lambda path: shapes[path] == "file"):
        roots = catalogue.all_roots(db)
        if shapes[path] == "folder" and not _holder(roots, path, recursive=True):
            watching.watch(db, path, recursive=True)
        elif shapes[path] == "file" and not _holder(roots, path):
            watching.watch(db, os.path.dirname(path), recursive=False)

    roots = catalogue.all_roots(db)
    inside: dict[int, set[bytes]] = {}
    for path in paths:
        root = _holder(roots, path, recursive=shapes[path] == "folder")
        assert root is not None  # watched above
        place = b"" if path == root.path else os.path.relpath(path, root.path)
        inside.setdefault(root.id, set()).add(place)
    for root in roots:
        named = frozenset(inside.get(root.id, ()))
        if everything or not sources:
            inside.setdefault(root.id, set()).add(b"")
        if named or not sources:
            wanted = {literal(place) for place in named}
            globs = root.exclude if exclude is None else exclude
            follow = root.follow_symlinks if follow_symlinks is None else follow_symlinks
            kept = normalised(glob for glob in globs if glob not in wanted)
            if (kept, follow) != (root.exclude, root.follow_symlinks):
                watching.watch_how(db, root, exclude=kept, follow_symlinks=follow)

    roots = [root for root in catalogue.all_roots(db) if root.id in inside]
    for root in roots:
        for place in sorted(inside[root.id]):
            _refuse_excluded(root, place)
    return {root: inside[root.id] for root in roots}


def _refuse_excluded(root: Root, place: bytes) -> None:
    glob = next((glob for glob in root.exclude if Excludes([glob]).cover(place)), None)
    if glob is not None:
        path = os.fsdecode(root.at(place))
        raise SourceExcluded(
            f"{path} is excluded from {os.fsdecode(root.path)} by the glob {glob!r}; give the globs"
            " that folder is to have with --exclude (`align roots` lists those it has)"
        )


def _shape(path: bytes) -> Literal["folder", "file"]:
    if os.path.isdir(path):
        try:
            os.scandir(path).close()
        except OSError as error:
            raise SourceNotFound(
                f"{os.fsdecode(path)} cannot be read ({error.strerror}); mount it or make it"
                " readable"
            ) from None
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
