"""Karpathy's JSON: ``dataset_flickr30k.json``, ``dataset_flickr8k.json``, ``dataset_coco.json``.

Nearly all published figures on these datasets use its splits. They come from Karpathy and Fei-Fei,
"Deep Visual-Semantic Alignments for Generating Image Descriptions" (2015).
"""

from collections.abc import Sequence
from pathlib import Path

from encoder.datasets.records import Place, Record, Source, field


def read_karpathy(path: Path, images: Sequence[object], dataset: object) -> Source:
    """Read the file's list `images` and its name of the `dataset`.

    A picture's name is ``filepath/filename`` if there is a ``filepath`` (only COCO's file has it),
    else ``filename``. People often put all pictures into one folder: if no two have the same
    ``filename``, a picture may also lie there without its ``filepath``.
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
