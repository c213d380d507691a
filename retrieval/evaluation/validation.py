"""Recall of an encoder on a dataset, measured again and again to steer training."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing

import numpy as np

from encoder import DatasetError, Encoder, Pixels
from encoder.datasets import Dataset, decode_pictures
from retrieval.evaluation.metrics import KS, ranks, recall


def dataset_recall(
    dataset: Dataset, prepared: Sequence[Pixels] | None = None
) -> Callable[[Encoder], Mapping[str, float]]:
    """A function that measures the recalls of an encoder over all captions of `dataset`.

    ``text_to_image@1`` and so on are recall@1, 5 and 10 of both directions, as shares in [0, 1].
    ``rsum`` is the sum of the six in percent. `prepared` holds the pictures as the encoders want
    them. Without it the first call opens the pictures and keeps them as its encoder prepares them,
    so later calls must bring encoders that prepare pictures in the same way. The function raises
    DatasetError if a picture cannot be read.
    """
    captions = [caption for example in dataset.examples for caption in example.captions]
    of_images = np.arange(len(dataset))
    of_texts = np.repeat(of_images, [len(example.captions) for example in dataset.examples])
    pictures = list(prepared or ())

    def measure(encoder: Encoder) -> dict[str, float]:
        if not pictures:
            pictures.extend(list(_opened(dataset, encoder)))
        images, texts = encoder.encode_images(pictures), encoder.encode_texts(captions)
        found = {
            "text_to_image": ranks(texts, images, of_texts, of_images),
            "image_to_text": ranks(images, texts, of_images, of_texts),
        }
        recalls = {f"{way}@{k}": recall(found[way], k) for way in found for k in KS}
        return {**recalls, "rsum": 100 * sum(recalls.values())}

    return measure


def _opened(dataset: Dataset, encoder: Encoder) -> Iterator[Pixels]:
    pictures = [example.picture for example in dataset.examples]
    with closing(decode_pictures(pictures, encoder.prepare)) as results:
        for picture, result in zip(pictures, results, strict=True):
            if isinstance(result, str):
                raise DatasetError(
                    f"{picture.name} cannot be read ({result}): replace or remove it"
                )
            yield result
