"""Pictures with captions: readers of the field's datasets, and drawn scenes."""

from encoder.datasets.dataset import Dataset, DatasetPicture, Example, StoredPicture
from encoder.datasets.decoding import (
    decode_picture,
    decode_pictures,
    digest_picture,
    make_thumbnail,
)
from encoder.datasets.drawn import drawn_scenes
from encoder.datasets.labels import labelled_folder
from encoder.datasets.prepared import PreparedPictures, prepare_pictures
from encoder.datasets.reader import DATASETS, open_dataset, standard_size

__all__ = [
    "DATASETS",
    "Dataset",
    "DatasetPicture",
    "Example",
    "PreparedPictures",
    "StoredPicture",
    "decode_picture",
    "decode_pictures",
    "digest_picture",
    "drawn_scenes",
    "labelled_folder",
    "make_thumbnail",
    "open_dataset",
    "prepare_pictures",
    "standard_size",
]
