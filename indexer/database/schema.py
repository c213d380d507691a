"""The tables, as the newest migration leaves them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import UserDefinedType

SCHEMA_VERSION = 4
"""Number of the newest migration in `migrations/versions`."""

CHECKSUM = "checksum"
"""The last column of every table: the CRC-32 of the row's other columns, in their order."""

metadata = MetaData()


class Exact(UserDefinedType[int | float]):
    """A number as SQLite keeps it: 64-bit integers stay exact, which in a column for reals they
    would not."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The declared type, which gives the column numeric affinity."""
        return "NUMERIC"


def _value_columns() -> Sequence[Column[Any]]:
    """A named value. `n` numbers the values of one name from 0. `type` says what `number` or `text`
    holds: ``number``, ``integer``, ``truth`` (0 or 1), ``text`` or ``date`` (ISO)."""
    return (
        Column("name", Text, primary_key=True),
        Column("n", Integer, primary_key=True, server_default="0"),
        Column("type", Text, nullable=False),
        Column("number", Exact),
        Column("text", Text),
    )


models = Table(
    "models",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("fingerprint", Text, nullable=False, unique=True),
    Column("dim", Integer, nullable=False),
)

# One row. `layout` and `target_recall` are those of the next generation.
library = Table(
    "library",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1"), primary_key=True),
    Column("uuid", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("model_id", ForeignKey("models.id")),
    Column("layout", Text, nullable=False, server_default="auto"),
    Column("target_recall", Float, nullable=False, server_default="0.95"),
)

# A relative path starts at the folder that holds the library directory. `device` is the number of
# the file system at the last look, `exclude` a JSON list of globs, `mounts` a JSON list of pairs
# of a path and a device.
roots = Table(
    "roots",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", LargeBinary, nullable=False),
    Column("relative", Boolean, nullable=False),
    Column("recursive", Boolean, nullable=False),
    Column("device", Integer),
    Column("follow_symlinks", Boolean, nullable=False, server_default="0"),
    Column("exclude", Text, nullable=False, server_default="[]"),
    Column("mounts", Text, nullable=False, server_default="[]"),
    UniqueConstraint("path", "relative"),
)

# digest NULL: the file could not be read, or, with size -1, not all of its items are written yet.
# racy: the file was read so soon after its last change that another change could leave size and
# time as they are. sidecar: sizes and times of the sidecars that were read with the file.
files = Table(
    "files",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("root_id", ForeignKey("roots.id"), nullable=False),
    Column("path", LargeBinary, nullable=False),
    Column("size", Integer, nullable=False),
    Column("mtime_ns", Integer, nullable=False),
    Column("digest", LargeBinary),
    Column("racy", Boolean, nullable=False, server_default="0"),
    Column("sidecar", Text),
    UniqueConstraint("root_id", "path"),
)

# Roots of items whose embeddings another program made. They are never scanned.
imports = Table(
    "imports",
    metadata,
    Column("root_id", ForeignKey("roots.id", ondelete="CASCADE"), primary_key=True),
    Column("at", Text, nullable=False),
)

# How many files the last look at a whole root passed over, by the ending of their names in lower
# case; also "link" for symbolic links and "raw+jpeg" for RAW files beside their JPEGs.
passed_over = Table(
    "passed_over",
    metadata,
    Column("root_id", ForeignKey("roots.id", ondelete="CASCADE"), primary_key=True),
    Column("ending", Text, primary_key=True),
    Column("files", Integer, nullable=False),
)

items = Table(
    "items",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("file_id", ForeignKey("files.id", ondelete="CASCADE"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("text", Text),
    Column("width", Integer),
    Column("height", Integer),
    Column("format", Text),
    Column("taken_at", Text),
    Column("camera", Text),
    Column("lens", Text),
    Column("latitude", Float),
    Column("longitude", Float),
    Column("time_from_sidecar", Boolean, nullable=False, server_default="0"),
    Column("place_from_sidecar", Boolean, nullable=False, server_default="0"),
    Index("items_by_file", "file_id"),
    Index("items_by_digest", "kind", "digest"),
    sqlite_autoincrement=True,
)

embeddings = Table(
    "embeddings",
    metadata,
    Column("item_id", ForeignKey("items.id", ondelete="CASCADE"), primary_key=True),
    Column("model_id", ForeignKey("models.id", ondelete="CASCADE"), primary_key=True),
    Column("vector", LargeBinary, nullable=False),
)

# Embeddings of the bundled phrases, float16 rows one after the other.
phrases = Table(
    "phrases",
    metadata,
    Column("model_id", ForeignKey("models.id", ondelete="CASCADE"), primary_key=True),
    Column("vectors", LargeBinary, nullable=False),
)

# What sidecars say about the picture of a file.
fields = Table(
    "fields",
    metadata,
    Column("item_id", ForeignKey("items.id", ondelete="CASCADE"), primary_key=True),
    *_value_columns(),
)

# What a person, the picture's own file or a tool says about bytes, wherever they lie now and
# whether or not any item holds them. `speaker`: ``person``, ``file``, or the name of a tool.
annotations = Table(
    "annotations",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("speaker", Text, primary_key=True),
    *_value_columns(),
    Column("statement_id", ForeignKey("statements.id", ondelete="SET NULL")),
    Index("annotations_by_name", "name"),
    Index("annotations_by_statement", "statement_id"),
)

# One run of a command that annotates. `about`: JSON, what a reader may want to know of it.
statements = Table(
    "statements",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Text, nullable=False),
    Column("about", Text, nullable=False),
)

# passing: the reason may pass without a change of the file, which is tried at every run.
failures = Table(
    "failures",
    metadata,
    Column("file_id", ForeignKey("files.id", ondelete="CASCADE"), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("passing", Boolean, nullable=False, server_default="0"),
)

# No foreign key: the log outlives the items.
changes = Table(
    "changes",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("item_id", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("op", Text, nullable=False),
    sqlite_autoincrement=True,
)

# The newest row of a (kind, model) is its head; a search falls back to the row before it.
# Only an IVF has nlist, nprobe and curve (JSON: origin and number of the queries, and points of
# nprobe, recall and milliseconds).
generations = Table(
    "generations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("model_id", ForeignKey("models.id", ondelete="CASCADE"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("name", Text, nullable=False, unique=True),
    Column("bytes", Integer, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("count", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("nlist", Integer),
    Column("nprobe", Integer),
    Column("recall", Float, nullable=False),
    Column("curve", Text),
    Column("faiss_version", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    sqlite_autoincrement=True,
)

# The writer replaces the default: see `indexer.database.checksums`.
for _table in metadata.tables.values():
    _table.append_column(Column(CHECKSUM, Integer, nullable=False, server_default=text("0")))
