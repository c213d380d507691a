"""How many pictures and texts are put together, and that each gets its own row."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from encoder.backends import batches
from encoder.backends.batches import TOKENS, embed_images, embed_texts
from encoder.backends.protocol import Features, Tokens
from encoder.checkpoint import load
from encoder.protocol import Pixels

WORDS = ("dog", "cat", "beach", "a", "photo")


class Recorder:
    """A backend whose features are the sums of what it gets."""

    precision = "none"
    image_batch = 3

    def every_way(self) -> list[tuple[str, Callable[[Pixels], Features]]]:
        return [("none", self.image_features)]

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def image_features(self, pixels: Pixels) -> Features:
        self.shapes.append(pixels.shape)
        sums = pixels.reshape(len(pixels), -1).sum(1).astype(np.float32)
        return np.stack([sums, np.ones_like(sums)], 1)

    def text_features(self, ids: Tokens, mask: Tokens) -> Features:
        self.shapes.append(ids.shape)
        sums = (ids * mask).sum(1).astype(np.float32)
        return np.stack([sums, mask.sum(1).astype(np.float32)], 1)


def test_pictures_are_taken_a_batch_at_a_time_in_their_order() -> None:
    recorder, made = Recorder(), list[int]()

    def pixels(number: int) -> Pixels:
        assert number < 3 * (len(recorder.shapes) + 1)  # not before its batch is due
        made.append(number)
        return np.full((2, 2, 3), number, np.uint8)

    rows = embed_images(recorder, 2, 8, pixels)
    assert [shape[0] for shape in recorder.shapes] == [3, 3, 2]
    assert made == list(range(8))
    np.testing.assert_allclose(rows[:, 0] / rows[:, 1], 12 * np.arange(8), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("portion", [4096, 100])
def test_texts_are_padded_to_others_of_their_length(
    portion: int, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "SORTED", portion)
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 60))) for _ in range(2000)]
    tokenizer = load(saved).tokenizer
    recorder = Recorder()
    rows = embed_texts(recorder, 2, tokenizer, texts)
    for some in (0, 777, 1999):
        ids, mask = tokenizer([texts[some]])
        assert rows[some, 0] / rows[some, 1] == pytest.approx(ids.sum() / mask.sum(), rel=1e-5)
    needed = sum(map(len, tokenizer.ids(texts)))
    computed = sum(b * t for b, t in recorder.shapes)
    assert needed <= computed <= (1.04 if portion == 4096 else 1.4) * needed
    assert all(b * t <= TOKENS for b, t in recorder.shapes)
