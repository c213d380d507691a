"""The checksum of every row.

A flipped bit on the disk changes a row and not its checksum, or the other way round. The writer
keeps the checksums in temporary triggers of its connection: the file itself holds plain columns,
which SQLite's own shell can read, dump, vacuum and restore.
"""

import sqlite3
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Table

from indexer.database.schema import CHECKSUM, metadata

Value = int | float | str | bytes | None
"""What SQLite stores. A text that is not UTF-8, which only damage makes, has surrogate escapes."""

_INTEGER = struct.Struct("<cq")
_REAL = struct.Struct("<cd")


def maintain(connection: sqlite3.Connection) -> None:
    """Keep the checksums of all rows that `connection` writes from now on."""
    connection.create_function("row_crc32", -1, row_crc32, deterministic=True)
    for table in metadata.sorted_tables:
        columns = ", ".join(checked_columns(table))
        update = (
            f"UPDATE {table.name} SET {CHECKSUM} = row_crc32({columns}) WHERE rowid = NEW.rowid"
        )
        for when in ("INSERT", f"UPDATE OF {columns}"):
            connection.execute(
                f"CREATE TEMP TRIGGER checksum_{when[:6].lower()}_{table.name}"
                f" AFTER {when} ON {table.name} BEGIN {update}; END"
            )


def checked_columns(table: Table) -> list[str]:
    """The columns that the checksum of a row covers, in their order."""
    return [column.name for column in table.columns if column.name != CHECKSUM]


def row_crc32(*values: Value) -> int:
    """CRC-32 of the values with their types, as docs/library-format.md describes it."""
    parts: list[bytes] = []
    for value in values:
        if value is None:
            parts.append(b"n")
        elif isinstance(value, int):
            parts.append(_INTEGER.pack(b"i", value))
        elif isinstance(value, float):
            parts.append(_REAL.pack(b"r", value))
        elif isinstance(value, str):
            data = value.encode(errors="surrogateescape")
            parts += (_INTEGER.pack(b"t", len(data)), data)
        else:
            parts += (_INTEGER.pack(b"b", len(value)), value)
    return zlib.crc32(b"".join(parts))


@dataclass(frozen=True)
class DamagedRow:
    """A row whose checksum is wrong."""

    rowid: int
    values: dict[str, Value]
    """By column, without the checksum."""


def damaged_rows(db: Connection, table: Table) -> Iterator[DamagedRow]:
    """The rows of `table` whose checksum is wrong."""
    names = checked_columns(table)
    columns = ", ".join([*names, CHECKSUM])
    for rowid, *values, checksum in raw_rows(db, f"SELECT rowid, {columns} FROM {table.name}"):
        if row_crc32(*values) != checksum:
            assert isinstance(rowid, int)
            yield DamagedRow(rowid, dict(zip(names, values, strict=True)))


def raw_rows(db: Connection, statement: str) -> Iterator[Sequence[Value]]:
    """The rows that a query finds. Texts that damage has made invalid UTF-8 are no error."""
    connection = db.connection.driver_connection
    assert isinstance(connection, sqlite3.Connection)
    connection.text_factory = lambda data: data.decode(errors="surrogateescape")
    try:
        yield from db.exec_driver_sql(statement)
    finally:
        connection.text_factory = str
