"""Karpathy's JSON: ``dataset_flickr30k.json``, ``dataset_flickr8k.json``, ``dataset_coco.json``.

The splits that nearly all published figures of these datasets are of, from Karpathy and Fei-Fei,
"Deep Visual-Semantic Alignments for Generating Image Descriptions" (2015).
"""

from collections.abc import Sequence
from pathlib import Path

from encoder.datasets.records import Place, Record, Source, field


def read_karpathy(path: Path, images: Sequence[object], dataset: object) -> Source:
    """The source that `images`, the list of that name, and `dataset`, the name, make.

    A picture is ``filepath/filename`` where there is a ``filepath``, which only COCO's file has,
    and else ``filename``. Folders are often flattened: where every ``filename`` is another, a
    picture is also looked for under it alone.
    """
    records = tuple(_record(image, Place(path, f"image {n}")) for n, image in enumerate(images, 1))
    names = {record.name for record in records}
    return Source(
        path,
        "Karpathy JSON",
        records,
        dataset=dataset if isinstance(dataset, str) else None,
        flat=len({name.rpartition("/")[2] for name in names}) == len(names),
    )


def _record(image: object, place: Place) -> Record:
    name = field(image, "filename", str, place)
    if isinstance(image, dict) and image.get("filepath"):
        name = f"{field(image, 'filepath', str, place)}/{name}"
    sentences = field(image, "sentences", list, place)
    captions = tuple(field(sentence, "raw", str, place) for sentence in sentences)
    return Record(name, captions, place, field(image, "split", str, place))
