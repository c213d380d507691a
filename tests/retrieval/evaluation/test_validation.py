from pathlib import Path

import pytest
from PIL import Image

from encoder import DatasetError, FakeEncoder
from encoder.datasets import Dataset, Example, StoredPicture
from encoder.fake import COLOURS
from retrieval.evaluation import dataset_recall


def shown(folder: Path, captions: dict[str, tuple[str, ...]]) -> Dataset:
    """A dataset of one plain picture for each colour of `captions`, with its captions."""
    examples = []
    for colour, said in captions.items():
        path = folder / f"{colour}.png"
        Image.new("RGB", (8, 8), COLOURS[colour]).save(path)
        examples.append(Example(StoredPicture(path.name, path), said))
    return Dataset("custom", "val", "by hand", tuple(examples))


def test_recall_counts_every_caption_and_every_picture(tmp_path: Path) -> None:
    dataset = shown(
        tmp_path,
        {
            "red": ("a red thing", "a green thing"),
            "green": ("a green thing",),
            "blue": ("a white thing",),
        },
    )
    found = dataset_recall(dataset)(FakeEncoder())
    # Two of four texts: the second of red is wrong, and "white" is equally near to all pictures.
    assert found["text_to_image@1"] == 0.5
    # Two of three pictures: green's own caption is also red's, and a tie earns nothing.
    assert found["image_to_text@1"] == pytest.approx(2 / 3)
    assert found["text_to_image@5"] == found["image_to_text@10"] == 1.0
    assert found["rsum"] == pytest.approx(100 * (0.5 + 2 / 3 + 4))


def test_pictures_are_opened_once(tmp_path: Path) -> None:
    measure = dataset_recall(shown(tmp_path, {"red": ("red",), "green": ("green",)}))
    first = measure(FakeEncoder())
    for path in tmp_path.iterdir():
        path.unlink()
    assert measure(FakeEncoder()) == first
    assert first["rsum"] == 600


def test_a_picture_that_cannot_be_read_is_named_at_every_call(tmp_path: Path) -> None:
    measure = dataset_recall(shown(tmp_path, {"red": ("red",), "green": ("green",)}))
    (tmp_path / "green.png").write_bytes(b"nonsense")
    for _ in range(2):
        with pytest.raises(DatasetError, match=r"^green\.png cannot be read \(not a picture"):
            measure(FakeEncoder())
