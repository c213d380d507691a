"""A user's own tables: CSV with the columns image and caption, and JSON lines."""

import csv
import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from encoder import tables
from encoder.datasets.records import Place, Record, Source, captions_of, field, merged
from encoder.tables import TableError, parse_object

_IMAGE, _CAPTION, _SPLIT = "image", "caption", "split"


def is_csv_header(line: str) -> bool:
    """Whether a line is the header of a table with these columns."""
    try:
        cells = next(csv.reader([line], skipinitialspace=True), [])
    except csv.Error:
        return False
    return {_IMAGE, _CAPTION} <= {cell.strip().lower() for cell in cells}


def read_csv(path: Path, text: str) -> Source:
    """Read a header and rows, one row for each caption; a picture's rows may stand anywhere.

    Commas separate cells, double quotes enclose them. A column ``split`` is used, other columns are
    ignored.
    """
    return Source(path, "CSV", merged(_rows(path, text)), own=True)


def _rows(path: Path, text: str) -> Iterator[Record]:
    try:
        columns, rows = tables.read_csv(io.StringIO(text, newline=""))
        lower = [name.lower() for name in columns]
        for name in (_IMAGE, _CAPTION, _SPLIT):
            if lower.count(name) > 1:
                raise TableError(1, f"the header has the column {name} more than once; rename one")
        for line, cells in rows:
            yield _row({name.lower(): cell for name, cell in cells.items()}, line, path)
    except TableError as error:
        raise Place(path, f"line {error.line}").error(error.problem) from None


def _row(cells: Mapping[str, str], line: int, path: Path) -> Record:
    split = cells.get(_SPLIT, "").strip() or None
    name = _plain(cells[_IMAGE].strip())
    return Record(name, (cells[_CAPTION],), Place(path, f"line {line}"), split)


def _plain(name: str) -> str:
    """One name for one picture: ``./a.jpg`` is ``a.jpg``."""
    return os.path.normpath(name) if name and "\0" not in name else name


def read_json_lines(path: Path, text: str) -> Source:
    """Read objects ``{"image": ..., "captions": [...]}``, one a line.

    The key may also be ``caption``; its value may be one text or a list of texts. A picture may
    have several lines. ``split`` is used, other keys are ignored.
    """
    return Source(path, "JSON lines", merged(_objects(path, text)), own=True)


def _objects(path: Path, text: str) -> Iterator[Record]:
    # Not splitlines(): JSON may hold a Unicode line separator.
    for n, line in enumerate(text.split("\n"), 1):
        if line.strip():
            place = Place(path, f"line {n}")
            entry = object_at(line, place)
            split = field(entry, _SPLIT, str, place) if entry.get(_SPLIT) else None
            name = _plain(field(entry, _IMAGE, str, place))
            yield Record(name, captions_of(entry, place), place, split)


def object_at(text: str, place: Place) -> Mapping[str, object]:
    """`text` as a JSON object; DatasetError if it is not one."""
    try:
        return parse_object(text)
    except ValueError as error:
        raise place.error(f"{error}; correct or remove it") from None
