"""The Flickr token file of all pictures: ``name.jpg#i<TAB>caption``, one caption a line."""

import re
from collections.abc import Iterator
from pathlib import Path

from encoder.datasets.records import Place, Record, Source, merged

_LINE = re.compile(r"([^\t]+)#\d+\t(.*)", re.DOTALL)
_NO_PICTURE = re.compile(r"\.jpe?g\.\d+$", re.IGNORECASE)
"""Flickr8k has captions of ``2258277193_586949ec62.jpg.1``, a picture that does not exist."""


def is_token_line(line: str) -> bool:
    """Whether a line has the format of a token file."""
    return _LINE.fullmatch(line) is not None


def read_tokens(path: Path, text: str) -> Source:
    """Read the lines of `text`; a caption is everything after the first tab.

    Captions keep the order of their lines; their number ``i`` is ignored.
    """
    records = merged(_records(path, text))
    real = tuple(record for record in records if not _NO_PICTURE.search(record.name))
    strange = [record.name for record in records if _NO_PICTURE.search(record.name)]
    note = f"Left out, because no picture has such a name: {', '.join(strange)}."
    return Source(path, "Flickr token file", real, notes=(note,) if strange else ())


def _records(path: Path, text: str) -> Iterator[Record]:
    # Not splitlines(): a caption may hold a Unicode line separator.
    for n, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        place = Place(path, f"line {n}")
        found = _LINE.fullmatch(line)
        if found is None:
            raise place.error("is not name.jpg#0, a tab and a caption; correct or remove it")
        yield Record(found[1], (found[2],), place)
