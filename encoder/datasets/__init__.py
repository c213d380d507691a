"""Pictures with captions: readers of the field's datasets, and drawn scenes."""

from encoder.datasets.dataset import Dataset, DatasetPicture, Example, StoredPicture
from encoder.datasets.scenes import drawn_scenes

__all__ = [
    "Dataset",
    "DatasetPicture",
    "Example",
    "StoredPicture",
    "drawn_scenes",
]
