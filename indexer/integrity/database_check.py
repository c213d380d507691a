"""Whether the database is what was written: its pages, indexes, rows and numbers."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, create_engine

from indexer.database import checksums, connection
from indexer.database.schema import SCHEMA_VERSION, metadata
from indexer.database.sqlite_errors import REMEDY
from indexer.integrity.findings import listed
from indexer.integrity.row_repair import INSTEAD
from indexer.records import Finding

# What `PRAGMA integrity_check` says of indexes, which are derived, and of values, which have
# checksums. Whatever else it says is of the pages that all of it lies in.
_OF_INDEX = re.compile(
    r"^(?:row \d+ missing from|wrong # of entries in|non-unique entry in) index (\w+)$"
)
_OF_VALUE = re.compile(r"^(?:NULL|TEXT|NUMERIC|non-\w+) value in |^CHECK constraint failed in ")


def unreadable(directory: Path, problem: str) -> Finding:
    """That nothing of the database can be relied on."""
    return Finding("database", str(directory / connection.NAME), f"{problem}; {REMEDY}", False)


def damage(db: Connection, directory: Path) -> Iterator[Finding]:
    """What SQLite finds, and damaged rows. Is a row damaged, SQLite may miss it in an index or find
    a value of the wrong type in it; that is said of the row, unless its checksum is right."""
    said = [text for (text,) in db.exec_driver_sql("PRAGMA integrity_check(100)") if text != "ok"]
    indexes = sorted({match[1] for text in said if (match := _OF_INDEX.search(text))})
    beyond = [text for text in said if not (_OF_INDEX.search(text) or _OF_VALUE.search(text))]
    rows = [] if beyond else [*_rows(db)]
    for name in indexes:
        if not beyond:
            yield Finding("index", name, "does not fit its table; repair makes it anew", True)
    yield from rows
    if not (indexes or rows):
        beyond = said
    for text in beyond:
        yield unreadable(directory, text)
    expected = create_engine("sqlite://")
    with expected.begin() as fresh:
        connection = fresh.connection.driver_connection
        assert isinstance(connection, sqlite3.Connection)
        checksums.register(connection)
        metadata.create_all(fresh)
        missing = _statements(fresh) - _statements(db)
    expected.dispose()
    if missing:
        yield unreadable(directory, "its tables are not those of its schema")
    numbers = db.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all()
    if numbers != [f"{SCHEMA_VERSION:04}"]:
        yield unreadable(directory, f"the number of its schema is {numbers}")


def _statements(db: Connection) -> set[tuple[str, str, str, str]]:
    rows = db.exec_driver_sql(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql NOT NULL"
    )
    return {(kind, name, table, " ".join(sql.split())) for kind, name, table, sql in rows}


def _rows(db: Connection) -> Iterator[Finding]:
    for table in metadata.sorted_tables:
        ids = tuple(row.rowid for row in checksums.damaged_rows(db, table))
        if ids:
            # As SELECT shows it: where a table has no number of its own, SQLite keeps one.
            said = f"row {ids[0]} is" if len(ids) == 1 else f"rows {listed(ids)} are"
            remedy = f"repair puts a flipped bit back, or {INSTEAD[table.name]}"
            yield Finding("row", table.name, f"{said} not what was written; {remedy}", True, ids)
