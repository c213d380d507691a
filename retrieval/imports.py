"""Embeddings of other programs: read what they wrote, and put it into a library."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from encoder.errors import AlignError
from indexer import Description, Imported, is_unicode, kept, nfc, read_table

_PATHS = ("image_path", "path", "file", "filename", "url", "key")
_CAPTIONS = ("caption", "text")
_LEFT_OUT = frozenset(
    {*_PATHS, *_CAPTIONS, "sha256", "embedding", "fields", "path_bytes", "digest"}
)
_METADATA = "id kind position width height format bytes taken_at camera lens latitude longitude"
_OURS = frozenset(_METADATA.split())
"""Columns of our own tables that are metadata and no fields."""


def read_embeddings(source: Path, metadata: Path | None = None) -> Iterator[Imported]:
    """The items in what another program, or `export`, wrote.

    `source` is a folder in the layout of clip-retrieval (``img_emb/*.npy`` and
    ``metadata/*.parquet``), a ``.npy`` with a table `metadata` of as many rows, or a ``.parquet``
    or ``.jsonl`` with a column ``embedding``. Raises AlignError if they do not fit together.
    """
    if source.is_dir():
        arrays = _numbered(source / "img_emb", "*.npy")
        tables = _numbered(source / "metadata", "*.parquet")
        if not arrays or not tables:
            raise AlignError(
                f"{source} holds no img_emb/*.npy and metadata/*.parquet as clip-retrieval writes"
                " them; name another folder or file"
            )
        yield from _paired(source, (_array(file) for file in arrays), tables)
    elif source.suffix == ".npy":
        if metadata is None:
            raise AlignError(f"{source} says nothing about its rows: give their table (--metadata)")
        yield from _paired(source, iter([_array(source)]), [metadata])
    else:
        for n, row in enumerate(read_table(source), 1):
            vector = row.get("embedding")
            if not isinstance(vector, list | np.ndarray):
                raise AlignError(f"{source}, row {n}: has no list of numbers named embedding")
            yield _imported(row, np.asarray(vector, np.float64), source, n)


def _paired(
    source: Path, arrays: Iterator[npt.NDArray[np.floating]], tables: list[Path]
) -> Iterator[Imported]:
    rows = (row for table in tables for row in read_table(table))
    n = 0
    for array in arrays:
        for vector in array:
            n += 1
            row = next(rows, None)
            if row is None:
                raise AlignError(f"{source} has more embeddings than its table rows: {n - 1:,}")
            yield _imported(row, vector, source, n)
    if next(rows, None) is not None:
        raise AlignError(f"{source} has fewer embeddings than its table rows: {n:,}")


def _numbered(folder: Path, pattern: str) -> list[Path]:
    """The files in a folder by their numbers: ``img_emb_2.npy`` before ``img_emb_10.npy``."""
    return sorted(folder.glob(pattern), key=lambda file: (len(file.name), file.name))


def _array(file: Path) -> npt.NDArray[np.floating]:
    try:
        array: npt.NDArray[np.floating] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise AlignError(f"{file} is no array of numpy: {error}") from None
    if array.ndim != 2 or not np.issubdtype(array.dtype, np.floating):
        raise AlignError(f"{file} is no array (n, dim) of floats, but {array.shape} {array.dtype}")
    return array


def _imported(
    row: Mapping[str, Any], vector: npt.NDArray[np.floating], source: Path, n: int
) -> Imported:
    name = next((row[name] for name in _PATHS if row.get(name)), None)
    if name is None:
        raise AlignError(f"{source}, row {n}: names no picture ({', '.join(_PATHS)})")
    folder = source if source.is_dir() else source.parent
    path = os.path.normpath(os.path.join(os.path.abspath(folder), str(name)))
    caption = next((row[name] for name in _CAPTIONS if isinstance(row.get(name), str)), None)
    extra = row.get("fields")
    own = json.loads(extra) if isinstance(extra, str) else {}
    left_out = _LEFT_OUT | (_OURS if "taken_at" in row else frozenset())
    named = {**own, **{key: value for key, value in row.items() if key not in left_out}}
    if row.get("url") and str(row["url"]) != str(name):
        named["url"] = row["url"]
    fields = {
        nfc(key): value
        for key, raw in named.items()
        if is_unicode(key) and (value := kept(raw)) is not None
    }
    digest = str(row.get("sha256") or "")
    known = bytes.fromhex(digest) if len(digest) == 64 and _is_hex(digest) else None
    return Imported(Path(path), vector, known, Description(caption or None, fields))


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdefABCDEF" for character in text)
