"""Rows of a table that annotates items: CSV, JSON lines or Parquet."""

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import AnnotationError
from indexer.metadata.fields import field_value, number
from indexer.metadata.texts import is_unicode
from indexer.records import FieldValue

_KEYS = ("path", "sha256")


@dataclass(frozen=True)
class Row:
    """One row of a table."""

    number: int
    """Number of the row, counted from 1."""
    path: str | None
    sha256: str | None
    fields: Mapping[str, FieldValue | None]
    """The values of all other columns that are not empty, by the name of the column. None takes a
    value back: it is JSON's null, or an empty cell that was read with `clear_empty`."""
    empty: int
    """How many cells were empty and are left out of `fields`."""

    @property
    def name(self) -> str:
        """What to call the row in a message: its path, its digest, or else its number."""
        return self.path or self.sha256 or f"row {self.number}"


def read_rows(table: Path, *, clear_empty: bool = False) -> Iterator[Row]:
    """The rows of `table`, which ends in ``.csv``, ``.jsonl`` or ``.parquet``.

    Values that are not a number, text, boolean or date are left out, and so are empty cells unless
    `clear_empty`. Raises AnnotationError if the file cannot be read or a row has neither ``path``
    nor ``sha256``.
    """
    readers: dict[str, Callable[[Path], Iterator[Mapping[str, object]]]]
    readers = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    reader = readers.get(table.suffix.lower())
    if reader is None:
        raise _error(table, f"is none of {' '.join(readers)}; convert it or rename it")
    try:
        for n, values in enumerate(reader(table), start=1):
            yield _row(table, n, values, clear_empty)
    except OSError as error:
        raise _error(table, f"cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise _error(table, f"is not UTF-8 ({error.reason}); convert it") from error


def _error(table: Path, problem: str) -> AnnotationError:
    return AnnotationError(f"{table} {problem}")


def _row(table: Path, n: int, values: Mapping[str, object], clear_empty: bool) -> Row:
    keys: dict[str, str | None] = {}
    fields: dict[str, FieldValue | None] = {}
    empty = 0
    for name, raw in ((name.strip(), raw) for name, raw in values.items()):
        if name.lower() in _KEYS:
            keys[name.lower()] = _key(name.lower(), raw)
        elif not name or not is_unicode(name):
            continue
        elif raw is None or (value := field_value(raw)) is not None:
            fields[name] = None if raw is None else value
        elif isinstance(raw, str) and not raw.strip():
            empty += not clear_empty
            if clear_empty:
                fields[name] = None
    if not keys:
        raise _error(
            table, f"has neither path nor sha256 in row {n}: one of them must say what is meant"
        )
    return Row(n, keys.get("path"), keys.get("sha256"), fields, empty)


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


def _csv(table: Path) -> Iterator[Mapping[str, object]]:
    with open(table, encoding="utf-8-sig", newline="") as file:
        try:
            rows = csv.reader(file)
            header = next(rows, [])
            for row in rows:
                if row:
                    cells = row + [""] * (len(header) - len(row))
                    yield {
                        name: cell if name.strip().lower() in _KEYS else _cell(cell)
                        for name, cell in zip(header, cells, strict=False)
                    }
        except csv.Error as error:
            raise _error(table, f"is not a CSV table: {error}") from error


def _cell(cell: str) -> FieldValue:
    value = number(cell.strip())
    return cell if value is None else value


def _jsonl(table: Path) -> Iterator[Mapping[str, object]]:
    with open(table, encoding="utf-8-sig") as file:
        for n, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except (ValueError, RecursionError):
                values = None
            if not isinstance(values, dict):
                raise _error(table, f"has no JSON object in line {n}")
            yield values


def _parquet(table: Path) -> Iterator[Mapping[str, object]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise _error(
            table, "needs pyarrow to be read: pip install 'align-retrieval[parquet]'"
        ) from None
    try:
        with pyarrow.parquet.ParquetFile(table) as file:
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    # Tables have no other way to leave a cell empty.
                    yield {name: "" if value is None else value for name, value in row.items()}
    except pyarrow.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise _error(table, f"is not a Parquet table: {reason}") from error
