"""Recall of an encoder over a dataset, again and again: what training is steered by."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from encoder import Encoder, Pixels
from encoder.datasets import Dataset
from retrieval.evaluation.metrics import KS, ranks, recall


def dataset_recall(
    dataset: Dataset, prepared: Sequence[Pixels] | None = None
) -> Callable[[Encoder], Mapping[str, float]]:
    """A function from an encoder to its recalls over all captions of `dataset`.

    ``text_to_image@1`` and so on are shares in [0, 1] of recall@1, 5 and 10 in both
    directions, ``rsum`` the sum of the six in percent. The pictures are `prepared` as the encoders
    want them, or opened at the first call and kept as its encoder prepares them: later calls must
    bring encoders that prepare alike.
    """
    captions = [caption for example in dataset.examples for caption in example.captions]
    of_images = np.arange(len(dataset))
    of_texts = np.repeat(of_images, [len(example.captions) for example in dataset.examples])
    pictures = list(prepared or ())

    def measure(encoder: Encoder) -> dict[str, float]:
        unopened = dataset.examples[len(pictures) :]
        pictures.extend(encoder.prepare(example.picture.open()) for example in unopened)
        images, texts = encoder.encode_images(pictures), encoder.encode_texts(captions)
        found = {
            "text_to_image": ranks(texts, images, of_texts, of_images),
            "image_to_text": ranks(images, texts, of_images, of_texts),
        }
        recalls = {f"{way}@{k}": recall(found[way], k) for way in found for k in KS}
        return {**recalls, "rsum": 100 * sum(recalls.values())}

    return measure
