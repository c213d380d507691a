"""Recall of an encoder over a dataset, again and again: what training is steered by."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing

import numpy as np

from encoder import DatasetError, Encoder, Pixels
from encoder.datasets import Dataset, decode_pictures
from retrieval.evaluation.metrics import ranks, recall

KS = (1, 5, 10)


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
                raise DatasetError(f"{picture.name} cannot be read ({result}): mend or remove it")
            yield result
