"""Labels in the names of files and of folders."""

from pathlib import Path

import pytest

from encoder import DatasetError
from encoder.datasets import labelled_folder


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("n02077923_sea_lion.JPEG", "sea lion"),
        ("n00007846_147031_person.jpg", "person"),
        ("17 black-footed ferret.png", "black-footed ferret"),
        ("sea_lion/0001.jpg", "sea lion"),
        ("n02077923 sea lion/deep/x.webp", "sea lion"),
        ("boeing_747.jpg", "boeing 747"),
        ("a__b.jpg", "a b"),
    ],
)
def test_the_label_of_a_picture(name: str, label: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    (example,) = labelled_folder(tmp_path).examples
    assert (example.picture.name, example.captions) == (name, (label,))
    assert example.picture.exists()


def test_pictures_come_in_the_order_of_their_names_and_others_are_no_pictures(
    tmp_path: Path,
) -> None:
    for name in ("b/2.jpg", "b/1.jpg", "a/9.jpg", "c.jpg", "a/notes.txt", ".d/1.jpg", ".e.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = labelled_folder(tmp_path)
    assert [example.picture.name for example in found.examples] == [
        *("c.jpg", "a/9.jpg", "b/1.jpg", "b/2.jpg")
    ]
    assert (found.split, found.layout) == ("all", "labelled folder")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("0001.jpg", "0001.jpg has no label"),
        ("n02077923/1.jpg", "1.jpg has no label"),
        ("cat.txt", "holds no pictures"),
        (None, "is not a folder"),
    ],
)
def test_what_has_no_labels_is_refused(name: str | None, complaint: str, tmp_path: Path) -> None:
    folder = tmp_path / "labelled"
    if name:
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()
    with pytest.raises(DatasetError, match=complaint):
        labelled_folder(folder)
