"""A user's own tables: CSV with the columns image and caption, and JSON lines."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from encoder.datasets.records import Place, Record, Source, captions_of, field, merged

_IMAGE, _CAPTION, _SPLIT = "image", "caption", "split"


def is_csv_header(line: str) -> bool:
    """Whether a line is the header of a table with these columns."""
    try:
        return {_IMAGE, _CAPTION} <= set(_columns(next(csv.reader([line]), [])))
    except csv.Error:
        return False


def read_csv(path: Path, text: str) -> Source:
    """Read a header and rows, one row for each caption; a picture's rows may stand anywhere.

    Commas separate cells, double quotes enclose them. A column ``split`` is used, other columns are
    ignored.
    """
    return Source(path, "CSV", merged(_rows(path, text)), own=True)


def _columns(header: list[str]) -> list[str]:
    return [name.strip().lower() for name in header]


def _rows(path: Path, text: str) -> Iterator[Record]:
    rows = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    columns: list[str] = []
    place = Place(path, "line 1")
    try:
        for row in rows:
            if not columns:
                columns = _columns(row)
                for name in (_IMAGE, _CAPTION, _SPLIT):
                    if columns.count(name) > 1:
                        raise place.error(
                            f"the header has the column {name} more than once; write a row for each"
                            " caption"
                        )
            elif row:
                yield _row(columns, row, place)
            place = Place(path, f"line {rows.line_num + 1}")
    except csv.Error as error:
        raise place.error(f"is not CSV ({error}); look for a quote that nothing closes") from None


def _row(columns: list[str], row: list[str], place: Place) -> Record:
    if len(row) != len(columns):
        raise place.error(
            f"the header has columns: {len(columns)}, this row: {len(row)}; put a caption with"
            " commas into double quotes"
        )
    cells = dict(zip(columns, row, strict=True))
    split = cells.get(_SPLIT, "").strip() or None
    return Record(cells[_IMAGE].strip(), (cells[_CAPTION],), place, split)


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
            entry = parse_object(line, place)
            split = field(entry, _SPLIT, str, place) if entry.get(_SPLIT) else None
            yield Record(field(entry, _IMAGE, str, place), captions_of(entry, place), place, split)


def parse_object(text: str, place: Place) -> Mapping[str, object]:
    """`text` as a JSON object; DatasetError if it is not one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise place.error("is not a JSON object; correct or remove it")
    return value
