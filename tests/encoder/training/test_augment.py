from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from encoder import Preprocessor
from encoder.protocol import Pixels
from encoder.training import Augmentation

PLAIN = Preprocessor(size=(40, 32), resample=Image.Resampling.BILINEAR)
CROPPING = replace(PLAIN, size=(50, 40), do_center_crop=True, crop_size=(40, 32))


def slopes(preprocessor: Preprocessor) -> Pixels:
    """A picture as it is kept; red is the row, green the column."""
    height, width = preprocessor.size
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, 0 * rows], -1).astype(np.uint8) * 4


def views(
    augmentation: Augmentation, caption: str = "a cat", count: int = 200
) -> list[tuple[Pixels, Pixels]]:
    """The picture as it is kept, and random views of it."""
    kept = slopes(augmentation.kept)
    return [
        (kept, augmentation.view(kept, caption, np.random.default_rng(seed)))
        for seed in range(count)
    ]


def test_without_a_crop_training_sees_what_the_model_embeds() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 70, 3), np.uint8))
    for preprocessor in (PLAIN, CROPPING):
        augmentation = Augmentation(preprocessor)
        kept = augmentation.kept.prepare(picture)
        view = augmentation.view(kept, "", np.random.default_rng(0))
        assert np.array_equal(view, preprocessor.prepare(picture))


def test_a_model_that_crops_is_trained_on_random_crops_of_its_own_margin() -> None:
    augmentation = Augmentation(CROPPING, min_area=0.6)
    assert augmentation.kept == replace(CROPPING, do_center_crop=False)
    corners = set()
    for kept, view in views(augmentation):
        assert view.shape == (40, 32, 3)
        top, left = int(view[0, 0, 0]) // 4, int(view[0, 0, 1]) // 4
        assert np.array_equal(view, kept[top : top + 40, left : left + 32])
        corners.add((top, left))
    assert {top for top, _ in corners} == set(range(11))
    assert {left for _, left in corners} == set(range(9))


def test_other_models_are_trained_on_resized_crops_of_at_least_min_area() -> None:
    augmentation = Augmentation(PLAIN, min_area=0.5)
    assert augmentation.kept.size == (50, 40)
    areas, aspects = [], []
    for _, view in views(augmentation):
        assert view.shape == (40, 32, 3)
        height = (int(view[-1, 0, 0]) - int(view[0, 0, 0])) / 4 / 50
        width = (int(view[0, -1, 1]) - int(view[0, 0, 1])) / 4 / 40
        areas.append(height * width)
        aspects.append(height / width)
    assert 0.4 < min(areas) < 0.55  # the outermost pixels are half a pixel inside
    assert 0.9 < max(areas) <= 1
    assert 0.65 < min(aspects) < 0.8
    assert 1.25 < max(aspects) < 1.55


@pytest.mark.parametrize(
    ("caption", "flips"),
    [
        ("a cat", True),
        ("a cat on the left", False),
        ("LEFT of a dog", False),
        ("a right-hand drive car", False),
        ("the rightmost of three", False),
        ("bright lights on a cleft rock", True),
    ],
)
def test_half_are_mirrored_unless_the_caption_says_left_or_right(caption: str, flips: bool) -> None:
    found = []
    for kept, view in views(Augmentation(PLAIN, flip=True), caption):
        mirrored = np.array_equal(view, kept[:, ::-1])
        assert mirrored or np.array_equal(view, kept)
        found.append(mirrored)
    assert (70 < sum(found) < 130) if flips else not any(found)


def test_nothing_is_flipped_by_default() -> None:
    assert all(np.array_equal(kept, view) for kept, view in views(Augmentation(PLAIN)))
