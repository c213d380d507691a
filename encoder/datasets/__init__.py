"""Pictures with captions: readers of the field's datasets, and drawn scenes."""

from encoder.datasets.dataset import Dataset, DatasetPicture, Example, StoredPicture
from encoder.datasets.opening import open_dataset, standard_size
from encoder.datasets.scenes import drawn_scenes

__all__ = [
    "Dataset",
    "DatasetPicture",
    "Example",
    "StoredPicture",
    "drawn_scenes",
    "open_dataset",
    "standard_size",
]
