"""Texts from a file: its lines, a column of a table, or JSON lines."""

import io
from pathlib import Path

from encoder.errors import TextError
from encoder.tables import TableError, parse_object, read_csv
from indexer.errors import UnsupportedFile
from indexer.values import is_unicode

ENDINGS = frozenset({".txt", ".csv", ".jsonl"})
"""Endings, in lower case, of the names of files that hold texts."""

_COLUMNS = ("caption", "text")
_NAMES = ("caption", "captions", "text")


def read_text_file(path: Path) -> list[str]:
    """The texts of the file at `path`, see `read_texts`. TextError names the file. Raises
    UnsupportedFile for another ending, and OSError if the file cannot be opened."""
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise UnsupportedFile(
            f"{path} is not a file of texts ({' '.join(sorted(ENDINGS))}); convert or rename it"
        )
    try:
        return read_texts(path.read_bytes(), ending)
    except TextError as error:
        raise TextError(f"{path} cannot be used: {error}") from None


def read_texts(data: bytes, ending: str) -> list[str]:
    """The texts in the bytes of a file with one of `ENDINGS`, stripped and without blank ones.

    The file is UTF-8, with or without a byte order mark. ``.txt``: one text on each line. ``.csv``:
    the column ``caption`` or ``text`` of a table with a header. ``.jsonl``: one object on each
    line, with ``caption`` or ``text`` (a string) or ``captions`` (a list of strings). Raises
    TextError with a plain reason.
    """
    try:
        whole = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextError(f"not UTF-8 at byte {error.start}") from None
    rows = {".txt": _lines, ".csv": _csv, ".jsonl": _jsonl}[ending](whole)
    return [stripped for row in rows if (stripped := row.strip())]


def _lines(whole: str) -> list[str]:
    return list(io.StringIO(whole, newline=None))


def _csv(whole: str) -> list[str]:
    try:
        columns, rows = read_csv(io.StringIO(whole, newline=""))
        name = next((c for n in _COLUMNS for c in columns if c.lower() == n), None)
        if name is None:
            raise TextError("the first line of a CSV table must name a column 'caption' or 'text'")
        return [cells[name] for _, cells in rows]
    except TableError as error:
        raise TextError(str(error)) from None


def _jsonl(whole: str) -> list[str]:
    texts: list[str] = []
    for number, line in enumerate(_lines(whole), start=1):
        if line.strip():
            texts += _object_texts(line, number)
    return texts


def _object_texts(line: str, number: int) -> list[str]:
    try:
        row = parse_object(line)
    except ValueError as error:
        raise TextError(f"line {number} {error}") from None
    value = next((row[name] for name in _NAMES if name in row), None)
    values = value if isinstance(value, list) else [value]
    texts = [text for text in values if isinstance(text, str) and is_unicode(text)]
    if len(texts) < len(values):
        raise TextError(f"line {number} is not an object with a 'caption', 'captions' or 'text'")
    return texts
