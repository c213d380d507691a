"""A library remembers how many files it passed over, and which roots hold what was imported."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "passed_over",
        sa.Column(
            "root_id", sa.Integer, sa.ForeignKey("roots.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("ending", sa.Text, primary_key=True),
        sa.Column("files", sa.Integer, nullable=False),
        sa.Column("checksum", sa.Integer, nullable=False, server_default=sa.text("0")),
    )
    op.create_table(
        "imports",
        sa.Column(
            "root_id", sa.Integer, sa.ForeignKey("roots.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("checksum", sa.Integer, nullable=False, server_default=sa.text("0")),
    )
