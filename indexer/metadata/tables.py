"""Rows of a table that annotates items: CSV, JSON lines or Parquet."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from encoder import tables
from encoder.durable import replacing
from encoder.tables import TableError
from indexer.errors import AnnotationError
from indexer.values import FieldValues, Unkept, cell, field_values, is_unicode, nfc

_KEYS = ("path", "sha256")
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_MOST_DIGITS = 4000


@dataclass(frozen=True)
class Row:
    """One row of a table."""

    number: int
    """Number of the row, counted from 1."""
    path: str | None
    sha256: str | None
    fields: Mapping[str, FieldValues | None]
    """The values of all other columns that are not empty, by the name of the column. None takes a
    value back: it is JSON's null, or an empty cell that was read with `clear_empty`."""
    empty: int
    """How many cells were empty and are left out of `fields`."""
    unkept: tuple[str, ...]
    """Which values are left out because no field can keep them: column, row and what they are."""

    @property
    def name(self) -> str:
        """What to call the row in a message: its path, its digest, or else its number."""
        return self.path or self.sha256 or f"row {self.number}"


def read_rows(table: Path, *, clear_empty: bool = False) -> Iterator[Row]:
    """The rows of `table`, which ends in ``.csv``, ``.jsonl`` or ``.parquet``.

    Empty cells are left out unless `clear_empty`, and so is what is no number (NaN) or infinite.
    Raises AnnotationError if the file cannot be read, a row has more or fewer cells than the
    header, two columns have one name, or a row has neither ``path`` nor ``sha256``.
    """
    reader = _READERS.get(table.suffix.lower())
    if reader is None:
        raise _error(table, f"is none of {' '.join(_READERS)}; convert it or rename it")
    with _explained(table):
        for n, (place, values) in enumerate(reader(table), start=1):
            yield _row(table, n, place, values, clear_empty)


@contextmanager
def _explained(table: Path) -> Iterator[None]:
    """Replace what reading a table raises by one sentence."""
    try:
        yield
    except OSError as error:
        raise _error(table, f"cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise _error(table, f"is not UTF-8 ({error.reason}); convert it") from error
    except TableError as error:
        raise AnnotationError(f"{table}, {error}") from None


def read_table(table: Path) -> Iterator[Mapping[str, object]]:
    """The rows of a table of any kind as they stand, by column. Raises AnnotationError."""
    reader = _READERS.get(table.suffix.lower())
    if reader is None:
        raise _error(table, f"is none of {' '.join(_READERS)}; convert it or rename it")
    with _explained(table):
        for _, values in reader(table):
            yield values


def _error(table: Path, problem: str) -> AnnotationError:
    return AnnotationError(f"{table} {problem}")


def _row(table: Path, n: int, place: str, values: Mapping[str, object], clear_empty: bool) -> Row:
    keys: dict[str, str | None] = {}
    fields: dict[str, FieldValues | None] = {}
    unkept: list[str] = []
    empty = 0
    for name, raw in ((name.strip(), raw) for name, raw in values.items()):
        if name.lower() in _KEYS:
            if name.lower() in keys:
                raise AnnotationError(f"{table}, {place}: {name} stands there more than once")
            keys[name.lower()] = _key(name.lower(), raw)
        elif name and is_unicode(name):
            try:
                value = field_values(raw)
            except Unkept as error:
                unkept.append(f"{name} in {place} ({error})")
                continue
            if value is None and raw is not None:
                empty += not clear_empty
                if not clear_empty:
                    continue
            fields[nfc(name)] = value
    if not keys:
        raise AnnotationError(
            f"{table}, {place}: has neither path nor sha256: one of them must say what is meant"
        )
    return Row(n, keys.get("path"), keys.get("sha256"), fields, empty, tuple(unkept))


def _key(name: str, raw: object) -> str | None:
    if isinstance(raw, bytes):
        raw = os.fsdecode(raw) if name == "path" else raw.hex()
    if not isinstance(raw, str):
        return None
    try:
        os.fsencode(raw)
    except UnicodeEncodeError:  # half a surrogate pair, which no file name has
        return None
    return raw or None


def _csv(table: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    with open(table, encoding="utf-8-sig", newline="") as file:
        columns, rows = tables.read_csv(file)
        if columns and not any(name.lower() in _KEYS for name in columns):
            shown = ", ".join(columns)[:80]
            raise TableError(
                1, f"names no column path or sha256, which must say what a row is about: {shown!r}"
            )
        for line, cells in rows:
            yield (
                f"line {line}",
                {
                    name: text if name.lower() in _KEYS else _empty_or(cell(text))
                    for name, text in cells.items()
                },
            )


def _empty_or(value: FieldValues | None) -> FieldValues:
    """CSV and Parquet have no other way to leave a cell empty."""
    return "" if value is None else value


def _jsonl(table: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    with open(table, encoding="utf-8-sig", newline="\n") as file:
        for n, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                yield f"line {n}", tables.parse_object(line, _whole)
            except ValueError as error:
                raise TableError(n, f"{error}; correct or remove it") from None


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MOST_DIGITS else digits


def _parquet(table: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise _error(
            table, "needs pyarrow to be read: pip install 'align-retrieval[parquet]'"
        ) from None
    try:
        with pyarrow.parquet.ParquetFile(table) as file:
            names = file.schema_arrow.names
            for name in names:
                if names.count(name) > 1:
                    raise _error(table, f"has the column {name} more than once; rename one")
            n = 0
            for batch in file.iter_batches(batch_size=4096):
                columns = [_plain_values(column) for column in batch.columns]
                for row in zip(*columns, strict=True):
                    n += 1
                    named = zip(names, row, strict=True)
                    yield f"row {n}", {name: "" if v is None else v for name, v in named}
    except pyarrow.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise _error(table, f"is not a Parquet table: {reason}") from error


def _plain_values(column: Any) -> list[object]:
    """The values of an array, those that no field keeps as `Unkept`."""
    from pyarrow import types

    kind = column.type
    if not (types.is_temporal(kind) or types.is_nested(kind) or types.is_dictionary(kind)):
        with suppress(UnicodeDecodeError):
            return list(column.to_pylist())
    return [_plain_value(scalar) for scalar in column]


def _plain_value(scalar: Any) -> object:
    """A scalar of Arrow as a plain object. Times keep their nanoseconds and any zone."""
    from pyarrow import types

    if not scalar.is_valid:
        return None
    kind = scalar.type
    try:
        if types.is_dictionary(kind) or hasattr(kind, "storage_type"):
            return _plain_value(scalar.value)
        if types.is_timestamp(kind):
            return _moment(scalar.value, _PER_SECOND[kind.unit], kind.tz)
        if types.is_date(kind):
            days = scalar.value // (86_400_000 if types.is_date64(kind) else 1)
            return date(1970, 1, 1) + timedelta(days)
        if types.is_time(kind):
            return _moment(scalar.value, _PER_SECOND[kind.unit], None).partition("T")[2]
        if types.is_duration(kind):
            seconds, rest = divmod(scalar.value, _PER_SECOND[kind.unit])
            return seconds if rest == 0 else scalar.value / _PER_SECOND[kind.unit]
        if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
            return [_plain_value(each) for each in scalar.values]
        return scalar.as_py()
    except OverflowError:
        return Unkept("a time outside the years 1 to 9999")
    except UnicodeDecodeError:
        return scalar.as_buffer().to_pybytes()


def _moment(value: int, per_second: int, zone: str | None) -> str:
    """A number of parts of a second since 1970 as an ISO text with all its digits."""
    seconds, rest = divmod(value, per_second)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    local = moment.replace(tzinfo=None) if zone is None else moment.astimezone(_zone(zone))
    text = local.isoformat()
    if rest:
        digits = f"{rest:0{len(str(per_second)) - 1}d}".rstrip("0")
        text = f"{text[:19]}.{digits}{text[19:]}"
    return text


def _zone(name: str) -> tzinfo:
    """The zone with this name; UTC, which keeps the point in time, if it is not known here."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        pass
    try:
        found = datetime.fromisoformat(f"2000-01-01T00:00:00{name}").tzinfo
    except ValueError:
        found = None
    return found or UTC


_READERS: dict[str, Callable[[Path], Iterator[tuple[str, Mapping[str, object]]]]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}

_INTEGERS = ("id", "position", "width", "height", "bytes")
_FLOATS = ("latitude", "longitude")


def write_table(
    path: Path,
    portions: Iterable[tuple[Sequence[Mapping[str, Any]], npt.NDArray[np.float32] | None]],
) -> None:
    """Write portions of rows of metadata, with their embeddings (n, dim) if there are any, as a
    Parquet table. Raises AnnotationError without pyarrow, OSError if the file cannot be written."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise _error(
            path, "needs pyarrow to be written: pip install 'align-retrieval[parquet]'"
        ) from None

    def type_of(name: str) -> Any:
        if name in _INTEGERS:
            return pyarrow.int64()
        return pyarrow.float64() if name in _FLOATS else pyarrow.string()

    with replacing(path) as temporary:
        writer = None
        for rows, vectors in portions:
            names = [name for name in rows[0] if not name.endswith("_bytes")] if rows else []
            columns = {name: [row[name] for row in rows] for name in names}
            arrays = {name: pyarrow.array(v, type_of(name)) for name, v in columns.items()}
            if "path" in names or "image_path" in names:
                shown = [row.get("path_bytes") for row in rows]
                arrays["path_bytes"] = pyarrow.array(shown, pyarrow.string())
            if vectors is not None:
                arrays["embedding"] = pyarrow.FixedSizeListArray.from_arrays(
                    vectors.reshape(-1), vectors.shape[1]
                )
            table = pyarrow.table(arrays)
            if writer is None:
                writer = pyarrow.parquet.ParquetWriter(temporary, table.schema)
            writer.write_table(table)
        if writer is None:
            pyarrow.parquet.write_table(pyarrow.table({}), temporary)
        else:
            writer.close()
