"""Tables in CSV, which have a header and below it rows with as many cells, and objects in JSON."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from encoder.errors import AlignError

Rows = Iterator[tuple[int, Mapping[str, str]]]
"""The number of the first line of each row, from 1, and its cells by column."""


class TableError(AlignError):
    """What is wrong with a table, and in which line; callers add the name of the file."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line
        self.problem = problem


def read_csv(lines: Iterable[str]) -> tuple[Sequence[str], Rows]:
    """The names of the columns and the rows of a table, of which the `lines` keep their ends.

    Commas separate cells and double quotes enclose them (RFC 4180); spaces after a comma do not
    count, and neither do rows without any text. Names of columns are stripped; without a header
    there are none. Raises TableError, perhaps only while the rows are read: for a row with too many
    or too few cells, a quote that nothing closes, or a name that two columns have.
    """
    records = _records(lines)
    line, header = next(records, (1, []))
    columns = [name.strip() for name in header]
    for name in columns:
        if name and columns.count(name) > 1:
            raise TableError(line, f"the header has the column {name} more than once; rename one")
    return columns, _rows(columns, records)


def parse_object(text: str, parse_int: Callable[[str], object] = int) -> dict[str, Any]:
    """A JSON object. Raises ValueError, with the problem as a clause, if `text` is none or gives a
    name twice."""
    try:
        value = json.loads(text, parse_int=parse_int, object_pairs_hook=_once)
    except _Repeated as error:
        raise ValueError(f"has the name {error.args[0]!r} more than once") from None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError("is not a JSON object")
    return value


class _Repeated(Exception):
    """The name that an object gives twice."""


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Repeated(next(name for name in names if names.count(name) > 1))
    return found


def _rows(columns: Sequence[str], records: Iterable[tuple[int, list[str]]]) -> Rows:
    for line, row in records:
        if len(row) != len(columns):
            raise TableError(
                line,
                f"the header has columns: {len(columns)}, this row: {len(row)}; put a cell with"
                " commas into double quotes",
            )
        yield line, dict(zip(columns, row, strict=True))


def _records(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    rows = csv.reader(lines, skipinitialspace=True, strict=True)
    line = 1
    try:
        for row in rows:
            if any(cell.strip() for cell in row):
                yield line, row
            line = rows.line_num + 1
    except csv.Error as error:
        problem = f"is not CSV ({error}); look for a quote that nothing closes"
        raise TableError(line, problem) from None
