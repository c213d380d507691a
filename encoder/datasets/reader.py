"""Open any dataset: read its file, choose a split, find the pictures."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from encoder.datasets.dataset import Dataset, Example, StoredPicture
from encoder.datasets.drawn import drawn_scenes
from encoder.datasets.formats import read_annotations
from encoder.datasets.records import Record, Source, decoded, read_bytes
from encoder.errors import DatasetError

DATASETS = ("flickr30k", "flickr8k", "coco", "scenes", "custom")
"""The names that `open_dataset` knows."""

_STANDARD = {"flickr30k": (1_000, 5_000), "flickr8k": (1_000, 5_000), "coco": (5_000, 25_010)}
_SCENES = 1_000


def standard_size(name: str, split: str) -> tuple[int, int] | None:
    """The numbers of images and captions in Karpathy's test split; None for any other split."""
    return _STANDARD.get(name) if split == "test" else None


def open_dataset(
    name: str,
    *,
    annotations: Path | None,
    images: Path | None,
    split: str | None,
    names: Path | None = None,
    limit: int | None = None,
) -> Dataset:
    """Read a dataset; `name` is one of `DATASETS`. The format is found by the file's content.

    `annotations`: a file; for shards also a folder or a pattern.
    `images`: the folder that the pictures' names are relative to, by default the folder of the
    annotations. Shards need none.
    `split`: one split or several joined with ``+``, by default ``test``. A file without splits is
    one split.
    `names`: a file of picture names, one a line. Only these pictures are kept, in the order of the
    annotations. For a file without splits, they are the split; its name is `split`, or else that of
    the file of names.
    `limit`: keep only the first so many pictures.
    Scenes take only a split and a limit, by default 1,000.

    Captions are stripped. Empty captions and pictures without captions are left out; the notes say
    so. The pictures are not opened: `exists` tells which are there. Raises DatasetError if the
    dataset cannot be read as asked.
    """
    if name not in DATASETS:
        raise DatasetError(f"there is no dataset {name}: choose one of {', '.join(DATASETS)}")
    if limit is not None and limit < 1:
        raise DatasetError(f"a limit of {limit} pictures leaves nothing: choose 1 or more")
    if name == "scenes":
        if annotations or images or names:
            raise DatasetError("scenes are drawn: they take no annotations, pictures or names")
        return drawn_scenes(limit or _SCENES, split or "test")
    if annotations is None:
        raise DatasetError(f"{name} needs its annotations: name their file")
    source = read_annotations(annotations)
    if source.dataset in _STANDARD and name in _STANDARD and source.dataset != name:
        raise DatasetError(f"{annotations} says that it is {source.dataset}: ask for that instead")
    divided = _is_divided(source)
    if divided or names is None:
        label, records = _split(source, split or ("test" if divided else source.whole))
    else:
        label, records = split or names.stem, source.records
    notes = list(source.notes)
    if names is not None:
        records, unknown = _named(source, records, names)
        notes += unknown
    elif not divided and name in _STANDARD and len(records) != _STANDARD[name][0]:
        notes.append(
            f"{source.path.name} has no splits: this is the whole of it, not Karpathy's test split"
            f" of {_STANDARD[name][0]:,} pictures, which published figures are of."
        )
    examples, left_out = _examples(source, records, _folder(source, images), limit)
    if not examples:
        raise DatasetError(f"{annotations} has no caption in the split {label}: choose another")
    return Dataset(name, label, source.layout, examples, (*notes, *left_out))


def _is_divided(source: Source) -> bool:
    bare = next((record for record in source.records if not record.split), None)
    divided = any(record.split for record in source.records)
    if divided and bare is not None:
        raise bare.place.error(f"{bare.name} has no split where others have one; write it down")
    return divided


def _split(source: Source, asked: str) -> tuple[str, Sequence[Record]]:
    wanted = set(asked.split("+"))
    sizes = Counter(record.split or source.whole for record in source.records)
    if not wanted <= sizes.keys():
        there = ", ".join(f"{split} ({n:,})" for split, n in sizes.items())
        raise DatasetError(
            f"{source.path} has no split {asked}: choose from those it has pictures of, {there}"
        )
    return asked, [record for record in source.records if (record.split or source.whole) in wanted]


def _named(
    source: Source, records: Sequence[Record], names: Path
) -> tuple[Sequence[Record], list[str]]:
    """The records whose names are in the file `names`, and a note about names without a record."""
    lines = map(str.strip, decoded(names, read_bytes(names)).split("\n"))
    wanted = set(filter(None, lines))
    kept = [record for record in records if record.name in wanted]
    if not kept:
        raise DatasetError(
            f"{names} names no picture of {source.path}: write one name a line, such as"
            f" {records[0].name}"
        )
    unknown = wanted - {record.name for record in kept}
    if not unknown:
        return kept, []
    note = f"Names in {names.name} that no picture has: {len(unknown):,}, such as {min(unknown)}."
    return kept, [note]


def _folder(source: Source, images: Path | None) -> Path:
    if images is None:
        return source.path.parent
    if isinstance(source.records[0].image, StoredPicture):
        raise DatasetError(f"{source.path} holds its pictures itself: give no folder of them")
    if not os.path.isdir(images):
        raise DatasetError(f"{images} is not a folder: name the one that holds the pictures")
    return images


def _examples(
    source: Source, records: Sequence[Record], folder: Path, limit: int | None
) -> tuple[tuple[Example, ...], list[str]]:
    """Up to `limit` examples, and notes about what was left out."""
    examples: list[Example] = []
    empty = 0
    bare: list[str] = []
    for record in records:
        if len(examples) == limit:
            break
        captions = tuple(filter(None, map(str.strip, record.captions)))
        empty += len(record.captions) - len(captions)
        if captions:
            examples.append(Example(_picture(source, record, folder), captions))
        else:
            bare.append(record.name)
    notes = []
    if empty:
        notes.append(f"Empty captions left out: {empty:,}.")
    if bare:
        notes.append(f"Pictures left out that have no caption: {len(bare):,}, such as {bare[0]}.")
    if len(examples) + len(bare) < len(records):
        notes.append(f"Only the first {limit:,} of {len(records):,} pictures are read.")
    return tuple(examples), notes


def _picture(source: Source, record: Record, folder: Path) -> StoredPicture:
    name = record.image
    if isinstance(name, StoredPicture):
        return name
    if not name.strip() or "\0" in name:
        raise record.place.error("names no picture; write its file name")
    if os.path.isabs(name) and not source.own:
        raise record.place.error(f"{name} is an absolute path; write it relative to the pictures")
    if not source.own and os.path.normpath(name).split(os.sep)[0] == os.pardir:
        raise record.place.error(f"{name} leads out of the folder of pictures; name it within")
    path = folder / name  # an absolute name replaces the folder
    if source.flat and not os.path.isfile(path):
        alone = folder / os.path.basename(name)
        path = alone if os.path.isfile(alone) else path
    return StoredPicture(name, path)
