"""Checksums become plain columns, so that any SQLite can write, vacuum and restore the file.

The stored checksums stay as they are: a row that was damaged before is still found.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TABLES = (
    "models",
    "library",
    "roots",
    "files",
    "items",
    "embeddings",
    "phrases",
    "fields",
    "failures",
    "changes",
    "generations",
)


def upgrade() -> None:
    for table in TABLES:
        plain = sa.Column("plain", sa.Integer, nullable=False, server_default=sa.text("0"))
        op.add_column(table, plain)
        op.execute(f"UPDATE {table} SET plain = checksum")
        op.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
        op.execute(f"ALTER TABLE {table} RENAME COLUMN plain TO checksum")
