"""Annotations: columns of a table that become fields of the items its rows name."""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, select

from indexer.database import catalogue, journal
from indexer.database.rows import Root
from indexer.database.schema import files, items
from indexer.metadata.tables import Row, read_rows
from indexer.records import KINDS, AnnotationReport

EXAMPLES = 5
"""How many rows that match nothing are named."""

_CHUNK = 500

_Key = TypeVar("_Key")

_Place = tuple[int, bytes]
"""A root's id and a path relative to it."""


def annotate(db: Connection, table: Path) -> AnnotationReport:
    """Write the fields that the rows of `table` give to items, inside the caller's transaction.

    A row means the items with its ``sha256``, or where there are none those at its ``path``:
    absolute, relative to the table's folder, or else relative to a root. Raises AnnotationError.
    """
    folder = os.path.realpath(os.path.dirname(os.path.abspath(os.fsencode(table))))
    roots = catalogue.all_roots(db)
    matched, unmatched = 0, 0
    examples: list[str] = []
    rows = read_rows(table)
    while chunk := list(islice(rows, _CHUNK)):
        meant = list(zip(chunk, _items(db, roots, folder, chunk), strict=True))
        strange = [row.name for row, ids in meant if not ids]
        matched += len(chunk) - len(strange)
        unmatched += len(strange)
        examples += strange[: EXAMPLES - len(examples)]
        journal.annotate(
            db, [(id, *field) for row, ids in meant for id in ids for field in row.fields.items()]
        )
    return AnnotationReport(matched, unmatched, tuple(examples))


def _items(
    db: Connection, roots: Sequence[Root], folder: bytes, rows: Sequence[Row]
) -> Iterator[Sequence[int]]:
    """For each row the ids of the items it means."""
    digests = [_digest(row) for row in rows]
    places = [_places(row, folder, roots) for row in rows]
    by_digest = _ids_by_digest(db, {digest for digest in digests if digest})
    by_place = _ids_by_place(db, {place for of_row in places for place in of_row})
    for digest, of_row in zip(digests, places, strict=True):
        at_places = (by_place[place] for place in of_row if place in by_place)
        yield by_digest.get(digest) or next(at_places, [])


def _digest(row: Row) -> bytes:
    """Empty where the row has none; one that is not written in hex is nobody's."""
    try:
        return bytes.fromhex(row.sha256 or "")
    except ValueError:
        return b""


def _places(row: Row, folder: bytes, roots: Sequence[Root]) -> list[_Place]:
    """Where the row's path may lead, in the order to try."""
    try:
        path = os.fsencode(row.path or "")
        if not path:
            return []
        starts = [folder, *(root.path for root in roots)]  # an absolute path makes nothing of them
        ways = [os.path.normpath(os.path.join(start, path)) for start in starts]
        if os.path.isabs(path):
            ways = [ways[0], os.path.realpath(path)]
    except ValueError:  # it holds a NUL
        return []
    return [
        (root.id, os.path.relpath(way, root.path))
        for way in ways
        for root in roots
        if catalogue.within(way, root.path)
    ]


def _ids_by_digest(db: Connection, digests: Collection[bytes]) -> dict[bytes, list[int]]:
    """Ids of the items with each of `digests` that any item has."""
    query = select(items.c.digest, items.c.id).where(
        items.c.kind.in_(KINDS), items.c.digest.in_(digests)
    )
    return _grouped((row.digest, row.id) for row in db.execute(query))


def _ids_by_place(
    db: Connection, places: Collection[tuple[int, bytes]]
) -> dict[tuple[int, bytes], list[int]]:
    """Ids of the items in each file of `places`, pairs of a root's id and a path in it, that holds
    any."""
    found: dict[tuple[int, bytes], list[int]] = {}
    for root_id in {root_id for root_id, _ in places}:
        paths = [path for of_root, path in places if of_root == root_id]
        query = (
            select(files.c.path, items.c.id)
            .join(files, files.c.id == items.c.file_id)
            .where(files.c.root_id == root_id, files.c.path.in_(paths))
        )
        found |= _grouped(((root_id, row.path), row.id) for row in db.execute(query))
    return found


def _grouped(pairs: Iterable[tuple[_Key, int]]) -> dict[_Key, list[int]]:
    groups: dict[_Key, list[int]] = {}
    for key, id in pairs:
        groups.setdefault(key, []).append(id)
    return groups
