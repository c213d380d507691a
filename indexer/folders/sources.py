"""The roots, and the parts of them, that the paths given to `Library.index` mean."""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal, NoReturn

from sqlalchemy import Connection

from encoder.pictures.picture import (
    EXTENSIONS,
    JXL_EXTENSIONS,
    RAW_EXTENSIONS,
    readable_extensions,
)
from indexer.database import catalogue, spelling
from indexer.database.rows import Root
from indexer.errors import SourceExcluded, SourceNotFound, UnsupportedFile
from indexer.folders import watching
from indexer.folders.excludes import Excludes, literal, normalised
from indexer.metadata import texts
from indexer.records import Kind


def ending(path: bytes) -> str:
    """The ending of the file name in lower case, with its dot."""
    return os.path.splitext(os.fsdecode(path))[1].lower()


def kind_of(path: bytes) -> Kind | None:
    """The kind of items in a file, by the ending of its name; None for neither kind."""
    if ending(path) in EXTENSIONS | RAW_EXTENSIONS | JXL_EXTENSIONS:
        return "image"
    return "text" if ending(path) in texts.ENDINGS else None


def _endings(names: str) -> frozenset[str]:
    return frozenset(f".{name}" for name in names.split())


_VIDEOS = _endings("3gp avi flv m2ts m4v mkv mov mp4 mpeg mpg mts webm wmv")
_DRAWINGS = _endings("ai eps pdf psb psd svg xcf")
_OTHER_RAWS = _endings(
    "3fr arq cap crw dcr erf iiq k25 kdc mef mos mrw nrw pef raw rwl sr2 srf srw x3f"
)
PASSED_OVER = _VIDEOS | _DRAWINGS | _OTHER_RAWS | RAW_EXTENSIONS | JXL_EXTENSIONS
"""Endings of what people keep among their pictures, and what is not always read."""


def is_readable(path: bytes) -> bool:
    """Whether a picture with this ending can be read here, with the extras that are installed."""
    return ending(path) in readable_extensions()


def remedies(passed_over: Mapping[str, int]) -> list[str]:
    """A clause for each kind of files that were passed over: how many, and what would read them."""

    def some(endings: Collection[str]) -> str:
        found = {name: n for name, n in sorted(passed_over.items()) if n and name in endings}
        return ", ".join(f"{n:,} {name}" for name, n in found.items())

    clauses = (
        (RAW_EXTENSIONS, "pip install 'align-retrieval[raw]' reads them"),
        (JXL_EXTENSIONS, "pip install 'align-retrieval[jxl]' reads them"),
        (_OTHER_RAWS, "RAW files that are not read; export them as JPEG or DNG"),
        (_VIDEOS, "videos are not read"),
        (_DRAWINGS, "export them as PNG or JPEG"),
        ({"raw+jpeg"}, "RAW files beside their JPEGs"),
        ({"link"}, "symbolic links; --follow-symlinks reads them"),
    )
    return [f"{said} ({what})" for endings, what in clauses if (said := some(endings))]


def parts_to_scan(
    db: Connection,
    sources: Sequence[Path],
    *,
    everything: bool,
    exclude: Sequence[str] | None = None,
    follow_symlinks: bool | None = None,
) -> dict[Root, set[bytes]]:
    """Watch `sources`, and return the paths to look at by root.

    A path is relative to its root; b"" is the whole root. With `everything`, or without sources,
    every root is looked at as a whole. `exclude` and `follow_symlinks`, unless None, replace the
    settings of the roots of the sources, or without sources those of all roots. A source that is
    excluded by its own path is no longer excluded.

    Raises SourceNotFound, SourceExcluded or UnsupportedFile.
    """
    roots = _scanned(db)
    paths = [spelling.resolve(db, roots, os.fsencode(source)) for source in sources]
    known = {root.path for root in roots}
    shapes = {path: "folder" if path in known else _shape(path) for path in paths}
    for path in sorted(paths, key=lambda path: shapes[path] == "file"):
        if shapes[path] == "folder" and not _holder(roots, path, recursive=True):
            watching.watch(db, path, recursive=True)
        elif shapes[path] == "file" and not _holder(roots, path):
            watching.watch(db, os.path.dirname(path), recursive=False)
        else:
            continue
        roots = _scanned(db)

    parts: dict[int, set[bytes]] = {}
    for path in paths:
        root = _holder(roots, path, recursive=shapes[path] == "folder")
        assert root is not None  # it is watched since the loop above
        part = b"" if path == root.path else os.path.relpath(path, root.path)
        parts.setdefault(root.id, set()).add(part)
    for root in roots:
        named = frozenset(parts.get(root.id, ()))
        if everything or not sources:
            parts.setdefault(root.id, set()).add(b"")
        if named or not sources:
            wanted = {literal(part) for part in named}
            globs = root.exclude if exclude is None else exclude
            follow = root.follow_symlinks if follow_symlinks is None else follow_symlinks
            kept = normalised(glob for glob in globs if glob not in wanted)
            if (kept, follow) != (root.exclude, root.follow_symlinks):
                watching.watch_how(db, root, exclude=kept, follow_symlinks=follow)

    roots = [root for root in _scanned(db) if root.id in parts]
    for root in roots:
        excludes = Excludes(root.exclude)
        for part in sorted(parts[root.id]):
            if excludes.cover(part):
                _refuse_excluded(root, part)
    return {root: parts[root.id] for root in roots}


def _scanned(db: Connection) -> list[Root]:
    return [root for root in catalogue.all_roots(db) if not root.imported]


def _refuse_excluded(root: Root, part: bytes) -> NoReturn:
    glob = next(glob for glob in root.exclude if Excludes([glob]).cover(part))
    raise SourceExcluded(
        f"{os.fsdecode(root.at(part))} is excluded from {os.fsdecode(root.path)} by the glob"
        f" {glob!r}; to change the globs of that folder, give all of them with --exclude (`align"
        " roots` lists them)"
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
        pictures = " ".join(sorted(readable_extensions()))
        raise UnsupportedFile(
            f"{os.fsdecode(path)} is neither a picture ({pictures}) nor a file of texts"
            f" ({' '.join(sorted(texts.ENDINGS))}); convert it or rename it"
        )
    return "file"


def _holder(roots: Sequence[Root], path: bytes, *, recursive: bool = False) -> Root | None:
    """The root that watches `path`; with `recursive`, the one that watches the folder `path`."""
    for root in roots:
        if root.recursive and spelling.within(path, root.path):
            return root
        if not recursive and root.path == os.path.dirname(path):
            return root
    return None
