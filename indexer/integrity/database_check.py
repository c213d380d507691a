"""Whether the database is what was written: its pages, indexes, rows and numbers."""

import re
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, create_engine, select

from indexer.database import checksums, connection
from indexer.database.schema import SCHEMA_VERSION, library, metadata
from indexer.database.sqlite_errors import REMEDY
from indexer.integrity.findings import listed
from indexer.integrity.row_repair import REMEDIES
from indexer.records import Finding

# `PRAGMA integrity_check` reports indexes, which are derived, and values, which have checksums.
# Everything else that it reports concerns the pages, which hold all of that.
_OF_INDEX = re.compile(
    r"^(?:row \d+ missing from|wrong # of entries in|non-unique entry in) index (\w+)$"
)
_OF_VALUE = re.compile(r"^(?:NULL|TEXT|NUMERIC|non-\w+) value in |^CHECK constraint failed in ")


def unreadable(directory: Path, problem: str) -> Finding:
    """The finding that no part of the database can be trusted."""
    return Finding("database", str(directory / connection.NAME), f"{problem}; {REMEDY}", False)


def damage(db: Connection, directory: Path) -> Iterator[Finding]:
    """What SQLite finds, and damaged rows.

    A damaged row may also make SQLite report its index or its type. We then report the row, unless
    its checksum is right.
    """
    if problem := _cut(db, directory / connection.NAME):
        yield unreadable(directory, problem)
        return
    said = [text for (text,) in db.exec_driver_sql("PRAGMA integrity_check(100)") if text != "ok"]
    indexes = sorted({match[1] for text in said if (match := _OF_INDEX.search(text))})
    beyond = [text for text in said if not (_OF_INDEX.search(text) or _OF_VALUE.search(text))]
    rows = [] if beyond else [*_rows(db)]
    for name in indexes:
        if not beyond:
            yield Finding("index", name, "does not match its table; repair rebuilds it", True)
    yield from rows
    if not (indexes or rows):
        beyond = said
    for text in beyond:
        yield unreadable(directory, text)
    expected = create_engine("sqlite://")
    with expected.begin() as fresh:
        metadata.create_all(fresh)
        missing = _statements(fresh) - _statements(db)
    expected.dispose()
    if missing:
        yield unreadable(directory, "its tables are not those of its schema")
    numbers = db.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
    if numbers != [f"{SCHEMA_VERSION:04}"]:
        yield unreadable(directory, f"the number of its schema is {numbers}")


def _cut(db: Connection, file: Path) -> str | None:
    """SQLite does not notice that a file was cut where it holds nothing now. Pages that still stand
    in the write-ahead log may be missing."""
    log = file.with_name(f"{file.name}-wal")
    if log.exists() and log.stat().st_size:
        return None
    pages, page = (
        db.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "page_size")
    )
    size = file.stat().st_size
    return f"it is {size} bytes long instead of {pages * page}" if size < pages * page else None


def _statements(db: Connection) -> set[tuple[str, str, str, str]]:
    rows = db.exec_driver_sql(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql NOT NULL"
    )
    return {(kind, name, table, "".join(sql.split())) for kind, name, table, sql in rows}


def _rows(db: Connection) -> Iterator[Finding]:
    for table in metadata.sorted_tables:
        ids = tuple(row.rowid for row in checksums.damaged_rows(db, table))
        if ids:
            rows = f"row {ids[0]} is" if len(ids) == 1 else f"rows {listed(ids)} are"
            remedy = f"repair {REMEDIES[table.name].promise}"
            yield Finding("row", table.name, f"{rows} not what was written; {remedy}", True, ids)
    if db.execute(select(library.c.id)).first() is None:
        remedy = f"repair {REMEDIES[library.name].promise}"
        yield Finding("row", library.name, f"its only row is lost; {remedy}", True)
