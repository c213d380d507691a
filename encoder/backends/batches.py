"""Many pictures and texts, a batch at a time, to embeddings."""

from collections.abc import Callable, Sequence

import numpy as np

from encoder.backends.protocol import Backend, Features
from encoder.checkpoint import Checkpoint
from encoder.protocol import Embeddings, Pixels
from encoder.tokenizer import Tokenizer

WIDEST = 64 << 20
"""Bytes of the widest layer of a batch on a processor. Larger batches are slower: the C library
does not keep their memory for the next one."""
MOST = 64
"""Pictures at once at most."""
SORTED = 4096
"""Texts that are sorted at once."""
TOKENS = 2048
"""Tokens at once: more gain nothing, and take memory."""


def embed_images(
    backend: Backend, dim: int, count: int, pixels: Callable[[int], Pixels]
) -> Embeddings:
    """The embeddings of `count` prepared pictures, each of which `pixels` makes when its batch is
    due; (count, dim)."""
    rows = np.empty((count, dim), np.float32)
    size = backend.image_batch
    for start in range(0, count, size):
        end = min(start + size, count)
        batch = np.stack([pixels(number) for number in range(start, end)])
        rows[start:end] = unit(backend.image_features(batch))
    return rows


def embed_texts(
    backend: Backend, dim: int, tokenizer: Tokenizer, texts: Sequence[str]
) -> Embeddings:
    """The embeddings of `texts`; (n, dim). Texts of one length are computed together, so that
    little is spent on padding."""
    rows = np.empty((len(texts), dim), np.float32)
    for start in range(0, len(texts), SORTED):
        tokens = tokenizer.ids(texts[start : start + SORTED])
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]), reverse=True)
        while order:
            at_once = max(1, TOKENS // max(1, len(tokens[order[0]])))
            batch, order = order[:at_once], order[at_once:]
            ids, mask = tokenizer.padded([tokens[i] for i in batch])
            rows[[start + i for i in batch]] = unit(backend.text_features(ids, mask))
    return rows


def cpu_batch(checkpoint: Checkpoint) -> int:
    """Pictures at once on a processor: as many as keep the widest layer within memory that is used
    again for the next batch."""
    shape = checkpoint.preprocessor.shape
    if shape is None:  # pictures of several sizes make no batch
        return 1
    widest = checkpoint.config.vision_config.widest(shape[0], shape[1])
    return max(1, min(MOST, WIDEST // (4 * widest)))


def unit(features: Features) -> Embeddings:
    """The same of length 1."""
    # The smallest length is that of torch's `normalize`.
    lengths = np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.float32(1e-12))
    rows: Embeddings = features / lengths
    return rows
