"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _checksum(*columns: str) -> sa.Column[int]:
    computed = sa.Computed(f"row_crc32({', '.join(columns)})", persisted=True)
    return sa.Column("checksum", sa.Integer, computed, nullable=False)


def upgrade() -> None:
    op.create_table(
        "models",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False, unique=True),
        sa.Column("dim", sa.Integer, nullable=False),
        _checksum("id", "name", "fingerprint", "dim"),
    )
    op.create_table(
        "library",
        sa.Column("id", sa.Integer, sa.CheckConstraint("id = 1"), primary_key=True),
        sa.Column("uuid", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("model_id", sa.Integer, sa.ForeignKey("models.id")),
        sa.Column("layout", sa.Text, nullable=False, server_default="auto"),
        sa.Column("target_recall", sa.Float, nullable=False, server_default="0.95"),
        _checksum("id", "uuid", "created_at", "model_id", "layout", "target_recall"),
    )
    op.create_table(
        "roots",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("path", sa.LargeBinary, nullable=False),
        sa.Column("relative", sa.Boolean, nullable=False),
        sa.Column("recursive", sa.Boolean, nullable=False),
        sa.Column("device", sa.Integer),
        sa.Column("follow_symlinks", sa.Boolean, nullable=False, server_default="0"),
        sa.Column("exclude", sa.Text, nullable=False, server_default="[]"),
        sa.Column("mounts", sa.Text, nullable=False, server_default="[]"),
        _checksum(
            "id",
            "path",
            "relative",
            "recursive",
            "device",
            "follow_symlinks",
            "exclude",
            "mounts",
        ),
        sa.UniqueConstraint("path", "relative"),
    )
    op.create_table(
        "files",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("root_id", sa.Integer, sa.ForeignKey("roots.id"), nullable=False),
        sa.Column("path", sa.LargeBinary, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("mtime_ns", sa.Integer, nullable=False),
        sa.Column("digest", sa.LargeBinary),
        sa.Column("racy", sa.Boolean, nullable=False, server_default="0"),
        sa.Column("sidecar", sa.Text),
        _checksum("id", "root_id", "path", "size", "mtime_ns", "digest", "racy", "sidecar"),
        sa.UniqueConstraint("root_id", "path"),
    )
    op.create_table(
        "items",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "file_id", sa.Integer, sa.ForeignKey("files.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("text", sa.Text),
        sa.Column("width", sa.Integer),
        sa.Column("height", sa.Integer),
        sa.Column("format", sa.Text),
        sa.Column("taken_at", sa.Text),
        sa.Column("camera", sa.Text),
        sa.Column("lens", sa.Text),
        sa.Column("latitude", sa.Float),
        sa.Column("longitude", sa.Float),
        sa.Column("time_from_sidecar", sa.Boolean, nullable=False, server_default="0"),
        sa.Column("place_from_sidecar", sa.Boolean, nullable=False, server_default="0"),
        _checksum(
            "id",
            "file_id",
            "kind",
            "position",
            "digest",
            "text",
            "width",
            "height",
            "format",
            "taken_at",
            "camera",
            "lens",
            "latitude",
            "longitude",
            "time_from_sidecar",
            "place_from_sidecar",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("items_by_file", "items", ["file_id"])
    op.create_index("items_by_digest", "items", ["kind", "digest"])
    op.create_table(
        "embeddings",
        sa.Column(
            "item_id", sa.Integer, sa.ForeignKey("items.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column(
            "model_id", sa.Integer, sa.ForeignKey("models.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        _checksum("item_id", "model_id", "vector"),
    )
    op.create_table(
        "phrases",
        sa.Column(
            "model_id", sa.Integer, sa.ForeignKey("models.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("vectors", sa.LargeBinary, nullable=False),
        _checksum("model_id", "vectors"),
    )
    op.create_table(
        "fields",
        sa.Column(
            "item_id", sa.Integer, sa.ForeignKey("items.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("number", sa.Float),
        sa.Column("text", sa.Text),
        sa.Column("from_sidecar", sa.Boolean, nullable=False),
        _checksum("item_id", "name", "number", "text", "from_sidecar"),
    )
    op.create_table(
        "failures",
        sa.Column(
            "file_id", sa.Integer, sa.ForeignKey("files.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        _checksum("file_id", "reason", "at"),
    )
    op.create_table(
        "changes",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("item_id", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("op", sa.Text, nullable=False),
        _checksum("seq", "item_id", "kind", "op"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "generations",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column(
            "model_id", sa.Integer, sa.ForeignKey("models.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("sha256", sa.LargeBinary, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("nlist", sa.Integer),
        sa.Column("nprobe", sa.Integer),
        sa.Column("recall", sa.Float, nullable=False),
        sa.Column("curve", sa.Text),
        sa.Column("faiss_version", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        _checksum(
            "id",
            "kind",
            "model_id",
            "seq",
            "name",
            "bytes",
            "sha256",
            "count",
            "type",
            "nlist",
            "nprobe",
            "recall",
            "curve",
            "faiss_version",
            "created_at",
        ),
        sqlite_autoincrement=True,
    )
