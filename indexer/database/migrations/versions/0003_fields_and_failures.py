"""What is said about a picture knows who said it, and failures know whether they may pass.

What sidecars say stays with the item of their file. Everything else moves to the bytes; nobody can
tell now whether a person or `align tag` said it, so it counts as said by a person, which no tool
replaces.
"""

import sqlite3
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

from indexer.database.checksums import Value, row_crc32

revision = "0003"
down_revision = "0002"

WRONG = -1
"""No row has this checksum: what was damaged before is still found."""


def upgrade() -> None:
    db = op.get_bind().connection.driver_connection
    assert isinstance(db, sqlite3.Connection)
    _fields(db)
    _failures(db)


def _failures(db: sqlite3.Connection) -> None:
    """Of old failures nobody knows whether they may pass: the next run tries all of them again."""
    rows = list(_intact_rows(db, "failures", "file_id", "reason", "at"))
    op.drop_table("failures")
    op.create_table(
        "failures",
        sa.Column(
            "file_id", sa.Integer, sa.ForeignKey("files.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("passing", sa.Boolean, nullable=False, server_default="0"),
        _checksum(),
    )
    files = {id for (id,) in _raw(db, "files", "id")}
    for intact, (file_id, reason, at) in rows:
        if file_id in files:
            row = [file_id, reason, at, 1] if intact else [file_id, "damaged", "", 1]
            _insert(db, "failures", *row, sum=None if intact else WRONG)


def _fields(db: sqlite3.Connection) -> None:
    rows = list(_intact_rows(db, "fields", "item_id", "name", "number", "text", "from_sidecar"))
    items = {id: (kind, digest) for id, kind, digest in _raw(db, "items", "id", "kind", "digest")}
    op.drop_table("fields")
    op.create_table(
        "fields",
        sa.Column(
            "item_id", sa.Integer, sa.ForeignKey("items.id", ondelete="CASCADE"), primary_key=True
        ),
        *_value_columns(),
        _checksum(),
    )
    op.create_table(
        "statements",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        _checksum(),
    )
    op.create_table(
        "annotations",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("speaker", sa.Text, primary_key=True),
        *_value_columns(),
        sa.Column("statement_id", sa.Integer, sa.ForeignKey("statements.id", ondelete="SET NULL")),
        _checksum(),
    )
    op.create_index("annotations_by_name", "annotations", ["name"])
    op.create_index("annotations_by_statement", "annotations", ["statement_id"])
    for number, (intact, row) in enumerate(rows):
        item_id, name, amount, text, from_sidecar = row
        if item_id not in items:
            continue
        value = ["text" if amount is None else "number", amount, text]
        if not intact:
            _insert(db, "fields", item_id, f"damaged {number}", 0, "text", None, None, sum=WRONG)
        elif from_sidecar:
            _insert(db, "fields", item_id, name, 0, *value)
        else:
            _insert(db, "annotations", *items[item_id], "person", name, 0, *value, None)


def _value_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True, server_default="0"),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("number", sa.Numeric),
        sa.Column("text", sa.Text),
    ]


def _checksum() -> sa.Column[int]:
    return sa.Column("checksum", sa.Integer, nullable=False, server_default=sa.text("0"))


def _raw(db: sqlite3.Connection, table: str, *columns: str) -> list[tuple[Value, ...]]:
    """All rows; texts that damage has made invalid UTF-8 are no error."""
    db.text_factory = lambda data: data.decode(errors="surrogateescape")
    try:
        return db.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()
    finally:
        db.text_factory = str


def _intact_rows(
    db: sqlite3.Connection, table: str, *columns: str
) -> Iterator[tuple[bool, tuple[Value, ...]]]:
    """The columns that the checksum of each row covers, and whether the checksum is right."""
    for *row, checksum in _raw(db, table, *columns, "checksum"):
        yield row_crc32(*row) == checksum, tuple(row)


def _insert(db: sqlite3.Connection, table: str, *values: Value, sum: int | None = None) -> None:
    """Insert a row with its checksum, or with `sum`. Of two annotations of the same bytes the first
    stays."""
    row = db.execute(
        f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(values))}, 0) RETURNING rowid",
        values,
    ).fetchone()
    if row is None:
        return
    names = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")][:-1]
    stored = db.execute(f"SELECT {', '.join(names)} FROM {table} WHERE rowid = ?", row).fetchone()
    checksum = row_crc32(*stored) if sum is None else sum
    db.execute(f"UPDATE {table} SET checksum = ? WHERE rowid = ?", (checksum, *row))
