"""Folders of labelled pictures: the label stands in the name of a file or of its folder."""

import os
from collections.abc import Iterator
from pathlib import Path

from encoder.datasets.dataset import Dataset, Example, StoredPicture
from encoder.errors import DatasetError
from encoder.pictures.picture import readable_extensions


def labelled_folder(folder: Path) -> Dataset:
    """The pictures of `folder`, each with its label as its caption.

    The label of ``sea_lion/01.jpg`` is "sea lion": the name of the folder. That of a picture that
    lies in `folder` itself is in its name: ``n02077923_sea_lion.jpg`` and ``17_sea_lion.jpg`` have
    the same. Underscores are spaces, and words with digits at the beginning are numbers. Raises
    DatasetError if there are no pictures, or one has no label.
    """
    if not os.path.isdir(folder):
        raise DatasetError(f"{folder} is not a folder: name one of labelled pictures")
    examples = []
    for path in _pictures(folder):
        name = path.relative_to(folder)
        label = label_in(name.parts[0] if len(name.parts) > 1 else name.stem)
        if not label:
            raise DatasetError(
                f"{path} has no label: write it into its name, or put it into a folder of that name"
            )
        examples.append(Example(StoredPicture(str(name), path), (label,)))
    if not examples:
        raise DatasetError(f"{folder} holds no pictures: name another folder")
    return Dataset(folder.name, "all", "labelled folder", tuple(examples))


def label_in(name: str) -> str:
    """The label in the name of a folder, or of a file without its ending; "" if there is none."""
    words = name.replace("_", " ").split()
    while words and any(character.isdigit() for character in words[0]):
        words.pop(0)
    return " ".join(words)


def _pictures(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if Path(name).suffix.lower() in readable_extensions() and not name.startswith("."):
                yield Path(place, name)
