"""Stands in for the readers of all layouts: Karpathy's JSON and drawn scenes alone."""

import json
from pathlib import Path

from encoder.datasets.dataset import Dataset, Example, StoredPicture
from encoder.datasets.scenes import drawn_scenes
from encoder.errors import DatasetError

DATASETS = ("flickr30k", "flickr8k", "coco", "scenes", "custom")


def open_dataset(
    name: str,
    *,
    annotations: Path | None,
    images: Path | None,
    split: str | None,
    names: Path | None = None,
    limit: int | None = None,
) -> Dataset:
    """Read the split of a dataset; DatasetError where it cannot be read as asked."""
    if name == "scenes":
        return drawn_scenes(limit or 1000, split or "test")
    if annotations is None:
        raise DatasetError(f"{name} needs its annotations: name their file")
    folder = images or annotations.parent
    examples = [
        Example(
            StoredPicture(image["filename"], folder / image["filename"]),
            tuple(sentence["raw"].strip() for sentence in image["sentences"]),
        )
        for image in json.loads(annotations.read_text("utf-8"))["images"]
        if image["split"] == (split or "test")
    ]
    if not examples:
        raise DatasetError(f"{annotations} has no split {split}: choose another")
    return Dataset(name, split or "test", "Karpathy JSON", tuple(examples[:limit]))
