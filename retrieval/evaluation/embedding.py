"""Embed pictures and captions. Equal content is embedded once, and cached content not at all."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from encoder import Decoders, Embeddings, Encoder, PictureError, Pixels
from encoder.datasets import DatasetPicture, decode_picture, digest_picture
from encoder.pictures.decoders import children_for
from encoder.read_ahead import ahead
from encoder.system import processors
from indexer import Progress
from retrieval.evaluation.cache import EmbeddingCache

AHEAD = 2
"""Batches that are decoded while one is embedded."""
TEXTS = 512
"""Texts that are kept at once, between two steps of the progress bar."""


@dataclass(frozen=True)
class EmbeddedPictures:
    """The embeddings of pictures. A picture that could not be read has no row."""

    rows: Embeddings
    """(readable, dim), in the order of the pictures."""
    content: npt.NDArray[np.int64]
    """(readable,), the same number for pictures of equal content."""
    unreadable: Mapping[int, str]
    """Why a picture could not be read, by its place among the given pictures."""


def embed_pictures(
    encoder: Encoder,
    pictures: Sequence[DatasetPicture],
    cache: EmbeddingCache,
    *,
    batch_size: int,
    workers: int | None,
    progress: Progress,
    on_unreadable: Callable[[int, str], None],
) -> EmbeddedPictures:
    """Embed `pictures` in batches of at most `batch_size`, while `workers` threads decode ahead.

    If a picture cannot be read, `on_unreadable` is called at once with its place and the reason; it
    may raise. At most ``(1 + AHEAD) * batch_size`` prepared pictures are in memory.
    """

    decoders = Decoders()

    def read(picture: DatasetPicture) -> tuple[bytes, Pixels | None] | str:
        try:
            digest = digest_picture(decoders, picture)
            if digest in cache:
                return digest, None
            return digest, decode_picture(decoders, picture, encoder.prepare)
        except PictureError as error:
            return str(error)

    digests: list[bytes] = []
    unreadable: dict[int, str] = {}
    pending: dict[bytes, Pixels] = {}

    def embed() -> None:
        if pending:
            cache.add(list(pending), encoder.encode_images(list(pending.values())))
            pending.clear()

    workers = children_for(len(pictures), workers or min(4, processors()))
    progress.start(len(pictures), "pictures")
    try:
        with closing(ahead(read, pictures, AHEAD * batch_size, workers)) as results, decoders:
            for number, result in enumerate(results):
                if isinstance(result, str):
                    unreadable[number] = result
                    on_unreadable(number, result)
                else:
                    digest, pixels = result
                    digests.append(digest)
                    if pixels is not None and digest not in cache:
                        pending[digest] = pixels
                    if len(pending) == batch_size:
                        embed()
                progress.advance(1)
            embed()
    finally:
        progress.finish()
    numbers: dict[bytes, int] = {}
    content = [numbers.setdefault(digest, len(numbers)) for digest in digests]
    return EmbeddedPictures(cache.rows(digests), np.array(content, np.int64), unreadable)


def embed_texts(
    encoder: Encoder, texts: Sequence[str], cache: EmbeddingCache, progress: Progress, what: str
) -> Embeddings:
    """Embed `texts`; (n, dim), in their order. `progress` calls the texts `what`."""
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    missing = {d: text for d, text in zip(digests, texts, strict=True) if d not in cache}
    # The encoder batches texts of one length together; sorted, there are more of one length.
    ordered = sorted(missing, key=lambda digest: len(missing[digest]), reverse=True)
    if not ordered:
        return cache.rows(digests)
    progress.start(len(ordered), what)
    try:
        for start in range(0, len(ordered), TEXTS):
            batch = ordered[start : start + TEXTS]
            cache.add(batch, encoder.encode_texts([missing[digest] for digest in batch]))
            progress.advance(len(batch))
    finally:
        progress.finish()
    return cache.rows(digests)
