"""How well the bundled model of photographs finds photographs, and drawn scenes like them."""

from pathlib import Path

import numpy as np
import pytest

from encoder import AlignEncoder, load_encoder
from encoder.bundled import BUNDLED
from encoder.datasets import Dataset, open_dataset
from encoder.scenes import make_scene
from retrieval.evaluation import dataset_recall


@pytest.fixture(scope="module")
def small() -> AlignEncoder:
    return load_encoder("align-small", device="cpu")


@pytest.fixture(scope="module")
def coco(data_dir: Path) -> Dataset:
    """52 photographs with captions."""
    folder = data_dir / "coco_photos"
    return open_dataset(
        "coco", annotations=folder / "dataset_coco.json", images=folder / "images", split="test"
    )


def test_the_weights_are_those_that_were_measured(small: AlignEncoder) -> None:
    assert small.fingerprint == "10dcb77f40032003a13592c5ff6039b5"
    assert (small.dim, small.preprocessing) == (384, "256x256 bicubic")
    assert (BUNDLED["align-small"] / "model.safetensors").stat().st_size <= 53_000_000


def test_recall_on_photographs_of_another_dataset(coco: Dataset, small: AlignEncoder) -> None:
    found = dataset_recall(coco)(small)
    assert found["text_to_image@1"] >= 0.57
    assert found["text_to_image@10"] >= 0.94
    assert found["image_to_text@1"] >= 0.6
    assert found["image_to_text@10"] >= 0.93


def test_names_of_classes_find_their_photographs(coco: Dataset, small: AlignEncoder) -> None:
    """The model learned these from labels and from a classifier."""
    images = small.encode_images([example.picture.open() for example in coco.examples])
    for question in ("a pizza", "an elephant", "a zebra", "a banana"):
        best = coco.examples[int((images @ small.encode_texts([question])[0]).argmax())]
        assert any(question.split()[1] in caption.lower() for caption in best.captions), question


def test_drawn_scenes_that_look_like_photographs(small: AlignEncoder) -> None:
    """Two hundred scenes: at most a quarter of them is a right answer to any of the questions."""
    scenes = [make_scene(seed) for seed in range(40_000_000, 40_000_200)]
    images = small.encode_images([small.prepare(scene.draw(224)) for scene in scenes])
    things = ("bicycle", "cup", "guitar", "house")
    right = {
        f"a {kind}": [any(t.kind == kind for t in s.things) for s in scenes] for kind in things
    }
    right |= {place: [scene.background == place for scene in scenes] for place in ("snow", "sea")}
    scores = small.encode_texts(list(right)) @ images.T
    for (question, is_right), row in zip(right.items(), scores, strict=True):
        assert sum(is_right) <= 50
        first = [is_right[int(place)] for place in np.argsort(-row)[:5]]
        assert first[0], question
        assert sum(first) >= 3, question
