"""Recall of an encoder over freshly drawn scenes that no training run has seen."""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from encoder import Encoder, Pixels
from encoder.scenes import make_scene
from retrieval.evaluation.metrics import ranks, recall

FIRST_SEED = 10_000_000
"""Training draws its scenes from the seeds below this one."""

SIDE = 224


def scene_recall(
    count: int = 1000, pairs: Literal["seen", "held-out"] = "seen", first_seed: int = FIRST_SEED
) -> Callable[[Encoder], Mapping[str, float]]:
    """A function from an encoder to its recall@1 and recall@10, text to image and image to text,
    over `count` unseen scenes with one full caption each. ``held-out`` scenes each show a
    (colour, kind) pair that training never does. Scenes are drawn at the first call only."""
    scenes = [make_scene(seed, pairs) for seed in range(first_seed, first_seed + count)]
    owners = np.arange(count)
    pictures: list[Pixels] = []

    def measure(encoder: Encoder) -> dict[str, float]:
        pictures.extend(encoder.prepare(scene.draw(SIDE)) for scene in scenes[len(pictures) :])
        images = encoder.encode_images(pictures)
        texts = encoder.encode_texts([scene.full_caption() for scene in scenes])
        found = {
            "text_to_image": ranks(texts, images, owners, owners),
            "image_to_text": ranks(images, texts, owners, owners),
        }
        return {f"{way}@{k}": recall(found[way], k) for way in found for k in (1, 10)}

    return measure
