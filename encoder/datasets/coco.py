"""COCO's own captions JSON, such as ``captions_val2017.json``: one file a split."""

from collections.abc import Sequence
from pathlib import Path

from encoder.datasets.records import Place, Record, Source, field

_PREFIX = "captions_"


def read_coco(path: Path, images: Sequence[object], annotations: Sequence[object]) -> Source:
    """The source that `images` and `annotations`, the lists of these names, make.

    Pictures in the order of the one, the captions of each in the order of the other. The split is
    what the file name says: ``val2017`` of ``captions_val2017.json``.
    """
    pictures: dict[int, tuple[str, Place, list[str]]] = {}
    for n, image in enumerate(images, 1):
        place = Place(path, f"image {n}")
        id = field(image, "id", int, place)
        if id in pictures:
            raise place.error(f"has the id {id}, and so has {pictures[id][1].where}; correct one")
        pictures[id] = field(image, "file_name", str, place), place, []
    strangers = 0
    for n, annotation in enumerate(annotations, 1):
        place = Place(path, f"annotation {n}")
        if isinstance(annotation, dict) and "caption" not in annotation:
            raise place.error("has no caption; the file of captions is named captions_*.json")
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
