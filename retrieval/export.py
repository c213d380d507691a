"""Embeddings, metadata and fields of a library for other programs."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from encoder.durable import write_whole
from encoder.errors import AlignError
from indexer import NULL, Item, Kind, Library, Progress, write_table
from retrieval.results import json_values

_CHUNK = 10_000
_KINDS: tuple[tuple[Kind, str], ...] = (("image", "img_emb"), ("text", "text_emb"))

Rows = Iterator[tuple[list[dict[str, Any]], npt.NDArray[np.float32] | None]]
"""Portions of rows, with their embeddings (n, dim)."""


def export(
    library: Library,
    target: str | os.PathLike[str],
    *,
    kind: Kind = "image",
    progress: Progress = NULL,
) -> int:
    """Write the items of `kind` by ascending id, and return their number. What is written goes by
    the ending of `target`:

    ``.npy``: the embeddings, (n, dim) float16. ``.parquet``: a row for each item with its metadata,
    its fields as JSON and its embedding. ``.jsonl``: the same without embeddings, an object on each
    line. Without an ending, a folder in the layout of clip-retrieval: ``img_emb/img_emb_0.npy``,
    ``text_emb/text_emb_0.npy`` and ``metadata/metadata_0.parquet``, of pictures whatever `kind` is.

    Raises AlignError for another ending, where Parquet needs pyarrow, and if the library changes
    meanwhile.
    """
    path = Path(target)
    ids = library.ids(kind)
    progress.start(len(ids), "items")
    match path.suffix:
        case ".npy":
            _write_embeddings(library, kind, path, progress)
        case ".jsonl":
            with write_whole(path) as file:
                for item in _items(library, kind, progress):
                    file.write(json.dumps(_metadata(item)).encode() + b"\n")
        case ".parquet":
            write_table(path, _rows(library, kind, progress))
        case "":
            _write_folder(library, path, progress)
        case _:
            raise AlignError(
                f"{path} is none of .npy .parquet .jsonl and no folder: name the file after what it"
                " shall be"
            )
    progress.finish()
    if not np.array_equal(library.ids(kind), ids):
        raise AlignError(f"the library has changed while {path} was written: export it again")
    return len(ids)


def export_fields(library: Library, target: str | os.PathLike[str]) -> int:
    """Write what people, sidecars and tools say, as JSON lines that `align annotate` reads again:
    ``path``, ``sha256`` and a key for each field. Returns the number of items that have any.
    Raises AlignError for another ending than ``.jsonl``."""
    path = Path(target)
    if path.suffix != ".jsonl":
        raise AlignError(f"{path} does not end in .jsonl, in which fields are written")
    n = 0
    with write_whole(path) as file:
        for kind, _ in _KINDS:
            for item in _items(library, kind, NULL):
                if item.fields:
                    row = {"path": item.path, "sha256": item.digest.hex(), **item.fields}
                    file.write(json.dumps(json_values(row)).encode() + b"\n")
                    n += 1
    return n


def _items(library: Library, kind: Kind, progress: Progress) -> Iterator[Item]:
    ids = library.ids(kind)
    for start in range(0, len(ids), _CHUNK):
        some = ids[start : start + _CHUNK].tolist()
        yield from library.items(some)
        progress.advance(len(some))


def _metadata(item: Item) -> dict[str, Any]:
    known = {**vars(item), "sha256": item.digest.hex()}
    del known["digest"]
    return json_values(known)


def _rows(library: Library, kind: Kind, progress: Progress) -> Rows:
    ids = library.ids(kind)
    for start in range(0, len(ids), _CHUNK):
        some = ids[start : start + _CHUNK].tolist()
        vectors = dict(zip(some, library.embeddings(some), strict=True))
        items = library.items(some)
        rows = [_metadata(item) for item in items]
        for row in rows:
            row["fields"] = json.dumps(row["fields"])
        yield rows, np.array([vectors[item.id] for item in items], np.float32)
        progress.advance(len(some))


def _write_embeddings(library: Library, kind: Kind, path: Path, progress: Progress) -> None:
    ids = library.ids(kind)
    dim = library.model.dim if library.model else 0
    with write_whole(path) as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": (len(ids), dim)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(ids), _CHUNK):
            some = ids[start : start + _CHUNK].tolist()
            file.write(library.embeddings(some).astype("<f2").tobytes())
            progress.advance(len(some))


def _write_folder(library: Library, folder: Path, progress: Progress) -> None:
    for kind, name in _KINDS:
        if len(library.ids(kind)) and library.model:
            (folder / name).mkdir(parents=True, exist_ok=True)
            _write_embeddings(library, kind, folder / name / f"{name}_0.npy", progress)
    (folder / "metadata").mkdir(parents=True, exist_ok=True)
    rows = (
        ([{"image_path": row.pop("path"), "caption": row.pop("text"), **row} for row in some], None)
        for some, _ in _rows(library, "image", NULL)
    )
    write_table(folder / "metadata" / "metadata_0.parquet", rows)
