"""The checksum in every row: SQLite has it computed here whenever a row is written.

A flipped bit on the disk changes the row but not its checksum, or the other way round.
"""

import sqlite3
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection, Table

Value = int | float | str | bytes | None
"""What SQLite keeps. A text that is not UTF-8, which only damage makes, has surrogate escapes."""

_INTEGER = struct.Struct("<cq")
_REAL = struct.Struct("<cd")
_BITS = struct.Struct("<q")

_LONGEST = 8_192
"""Bytes of a text or BLOB in which a flipped bit is looked for: every bit of it is tried."""
_MASKS = [*(1 << bit for bit in range(63)), *(-1 << (8 * n - 1) for n in (1, 2, 3, 4, 6, 8))]
"""Changes of an integer by one bit on disk, where it takes n bytes and the first is its sign."""


def register(connection: sqlite3.Connection) -> None:
    """Let a connection write rows: the tables call this function by its name."""
    connection.create_function("row_crc32", -1, row_crc32, deterministic=True)
    connection.execute("PRAGMA trusted_schema = ON")  # some builds of SQLite refuse it otherwise


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
    """A row that is not what was written."""

    rowid: int
    values: tuple[Value, ...]
    """Of all columns but the checksum."""
    checksum: Value


def damaged_rows(db: Connection, table: Table) -> Iterator[DamagedRow]:
    """The rows of `table` whose checksum is wrong."""
    columns = ", ".join(table.columns.keys())
    for rowid, *values, checksum in raw_rows(db, f"SELECT rowid, {columns} FROM {table.name}"):
        if row_crc32(*values) != checksum:
            assert isinstance(rowid, int)
            yield DamagedRow(rowid, tuple(values), checksum)


def raw_rows(db: Connection, statement: str) -> Iterator[Sequence[Value]]:
    """What a query finds, as it is on disk: also texts that damage has made something else."""
    connection = db.connection.driver_connection
    assert isinstance(connection, sqlite3.Connection)
    connection.text_factory = lambda data: data.decode(errors="surrogateescape")
    try:
        yield from db.exec_driver_sql(statement)
    finally:
        connection.text_factory = str


def restored(row: DamagedRow) -> tuple[Value, ...] | None:
    """The values that were written, if a single bit has flipped since; otherwise None.

    Of other damage, two in a million rows of an embedding are taken for a flipped bit.
    """
    if row.checksum in _neighbours(row_crc32(*row.values)):
        return row.values
    for at, value in enumerate(row.values):
        before, after = row.values[:at], row.values[at + 1 :]
        for candidate in _neighbours(value):
            if row_crc32(*before, candidate, *after) == row.checksum:
                return *before, candidate, *after
    return None


def _neighbours(value: Value) -> Iterator[Value]:
    """Every value that one bit makes `value`."""
    if isinstance(value, int):
        yield from (value ^ mask for mask in _MASKS)
    elif isinstance(value, float):
        (bits,) = _BITS.unpack(struct.pack("<d", value))
        yield from (struct.unpack("<d", _BITS.pack(bits ^ mask))[0] for mask in _MASKS)
        if value.is_integer() and abs(value) < 1 << 47:  # SQLite writes it as an integer
            yield from (float(int(value) ^ mask) for mask in _MASKS)
    elif isinstance(value, str):
        for data in _neighbours(value.encode(errors="surrogateescape")):
            assert isinstance(data, bytes)
            with suppress(UnicodeDecodeError):
                yield data.decode()
    elif isinstance(value, bytes) and len(value) <= _LONGEST:
        for at, byte in enumerate(value):
            yield from (
                b"%b%c%b" % (value[:at], byte ^ (1 << bit), value[at + 1 :]) for bit in range(8)
            )
