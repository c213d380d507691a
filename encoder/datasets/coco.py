"""COCO's own captions JSON, such as ``captions_val2017.json``: one file for each split."""

from collections.abc import Sequence
from pathlib import Path

from encoder.datasets.records import Place, Record, Source, field

_PREFIX = "captions_"


def read_coco(path: Path, images: Sequence[object], annotations: Sequence[object]) -> Source:
    """Read the file's lists `images` and `annotations`.

    Pictures keep the order of `images`, captions that of `annotations`. The split comes from the
    file name: ``val2017`` from ``captions_val2017.json``.
    """
    pictures: dict[int, tuple[str, Place, list[str]]] = {}
    for n, image in enumerate(images, 1):
        place = Place(path, f"image {n}")
        id = field(image, "id", int, place)
        if id in pictures:
            raise place.error(f"has the same id {id} as {pictures[id][1].where}; correct one")
        pictures[id] = field(image, "file_name", str, place), place, []
    strangers = 0
    for n, annotation in enumerate(annotations, 1):
        place = Place(path, f"annotation {n}")
        if isinstance(annotation, dict) and "caption" not in annotation:
            raise place.error("has no caption; use the file that is named captions_*.json")
        id = field(annotation, "image_id", int, place)
        caption = field(annotation, "caption", str, place)
        if id in pictures:
            pictures[id][2].append(caption)
        else:
            strangers += 1
    notes = [f"Captions left out that name no picture of the file: {strangers:,}."]
    return Source(
        path,
        "COCO captions JSON",
        tuple(Record(name, tuple(texts), place) for name, place, texts in pictures.values()),
        whole=path.stem.removeprefix(_PREFIX) if path.stem.startswith(_PREFIX) else "all",
        notes=tuple(notes if strangers else []),
    )
