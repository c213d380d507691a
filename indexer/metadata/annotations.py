"""Annotations: the columns of a table become fields of the items that its rows name."""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, func, select

from indexer.content import Key
from indexer.database import catalogue, journal, spelling
from indexer.database.rows import Root
from indexer.database.schema import files, items
from indexer.metadata.tables import Row, read_rows
from indexer.records import KINDS, AnnotationReport
from indexer.values import nfc_path

EXAMPLES = 5
"""How many of the rows that match no item the report names."""

_CHUNK = 500

_Name = TypeVar("_Name")

_FilePath = tuple[int, bytes]
"""A root's id and the path of a file relative to that root."""


def annotate(db: Connection, table: Path, *, clear_empty: bool = False) -> AnnotationReport:
    """Write the fields that the rows of `table` give to items, inside the caller's transaction.

    A row names the items with its ``sha256``. If there are none, it names the items of the file at
    its ``path``, which is absolute, relative to the table's folder, or relative to a root. A JSON
    null, and with `clear_empty` an empty cell, takes back what a person said. Raises
    AnnotationError.
    """
    folder = os.path.realpath(os.path.dirname(os.path.abspath(os.fsencode(table))))
    roots = catalogue.all_roots(db)
    matched, unmatched, empty = 0, 0, 0
    examples: list[str] = []
    unkept: list[str] = []
    rows = read_rows(table, clear_empty=clear_empty)
    statement = journal.add_statement(db, {"table": os.fsdecode(os.path.abspath(table))})
    while chunk := list(islice(rows, _CHUNK)):
        named = list(zip(chunk, _contents(db, roots, folder, chunk), strict=True))
        unknown = [row.name for row, keys in named if not keys]
        matched += len(chunk) - len(unknown)
        unmatched += len(unknown)
        examples += unknown[: EXAMPLES - len(examples)]
        unkept += [value for row in chunk for value in row.unkept]
        empty += sum(row.empty for row, keys in named if keys)
        said = [
            (key, *field) for row, keys in named for key in keys for field in row.fields.items()
        ]
        journal.annotate(db, "person", statement, said)
    journal.forget_silent(db)
    return AnnotationReport(
        matched, unmatched, tuple(examples), empty, len(unkept), tuple(unkept[:EXAMPLES])
    )


def _contents(
    db: Connection, roots: Sequence[Root], folder: bytes, rows: Sequence[Row]
) -> Iterator[Sequence[Key]]:
    """For each row the contents of the items that it names."""
    digests = [_digest(row) for row in rows]
    paths = [_paths(row, folder, roots) for row in rows]
    by_digest = _by_digest(db, {digest for digest in digests if digest})
    by_path = _by_path(db, {path for of_row in paths for path in of_row})
    for digest, of_row in zip(digests, paths, strict=True):
        at_paths = (by_path[path] for path in of_row if path in by_path)
        yield by_digest.get(digest) or next(at_paths, [])


def _digest(row: Row) -> bytes:
    """The digest in the row; empty if it has none, or none in hexadecimal digits."""
    try:
        return bytes.fromhex(row.sha256 or "")
    except ValueError:
        return b""


def _paths(row: Row, folder: bytes, roots: Sequence[Root]) -> list[_FilePath]:
    """The files that the row's path may mean, in the order to try them."""
    try:
        path = os.fsencode(row.path or "")
        if not path:
            return []
        if os.path.isabs(path):
            candidates = [os.path.normpath(path), os.path.realpath(path)]
        else:
            starts = [folder, *(root.path for root in roots)]
            candidates = [os.path.normpath(os.path.join(start, path)) for start in starts]
    except ValueError:  # it holds a NUL
        return []
    found = []
    for candidate in candidates:
        for root in roots:
            if spelling.within(candidate, root.path):
                found.append((root.id, os.path.relpath(candidate, root.path)))
            elif spelling.within(composed := nfc_path(candidate), home := nfc_path(root.path)):
                found.append((root.id, os.path.relpath(composed, home)))
    return found


def _by_digest(db: Connection, digests: Collection[bytes]) -> dict[bytes, list[Key]]:
    """The contents with each digest of `digests` that any item has."""
    query = (
        select(items.c.kind, items.c.digest)
        .where(items.c.kind.in_(KINDS), items.c.digest.in_(digests))
        .distinct()
    )
    return _grouped((row.digest, (row.kind, row.digest)) for row in db.execute(query))


def _by_path(db: Connection, paths: Collection[_FilePath]) -> dict[_FilePath, list[Key]]:
    """The contents of the items of each file in `paths` that holds any."""
    found: dict[_FilePath, list[Key]] = {}
    for root_id in {root_id for root_id, _ in paths}:
        in_root = [path for of_root, path in paths if of_root == root_id]
        query = (
            select(files.c.path, items.c.kind, items.c.digest)
            .join(files, files.c.id == items.c.file_id)
            .where(files.c.root_id == root_id, files.c.path.in_(in_root))
        )
        found |= _grouped(
            ((root_id, path), (kind, digest)) for path, kind, digest in db.execute(query)
        )
    unknown = {path for path in paths if path not in found and not path[1].isascii()}
    return found | _by_composed_path(db, unknown) if unknown else found


def _by_composed_path(db: Connection, paths: Collection[_FilePath]) -> dict[_FilePath, list[Key]]:
    """As `_by_path`, where only the form of accents differs. It looks at every file."""
    composed = func.nfc_path(files.c.path)
    query = (
        select(files.c.root_id, composed, items.c.kind, items.c.digest)
        .join(files, files.c.id == items.c.file_id)
        .where(composed.in_({nfc_path(path) for _, path in paths}))
    )
    rows = db.execute(query)
    found = _grouped(((root, path), (kind, digest)) for root, path, kind, digest in rows)
    return {
        (root, path): found[root, nfc_path(path)]
        for root, path in paths
        if (root, nfc_path(path)) in found
    }


def _grouped(pairs: Iterable[tuple[_Name, Key]]) -> dict[_Name, list[Key]]:
    groups: dict[_Name, list[Key]] = {}
    for name, key in pairs:
        groups.setdefault(name, []).append(key)
    return groups
