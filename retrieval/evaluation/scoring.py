"""Scores of embeddings: exact or through an index, with or without folds."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Literal

import numpy as np
import numpy.typing as npt

from indexer import SAMPLE_SEED, Progress, TrialIndex, trial_index
from retrieval.evaluation.metrics import mean_rank, median_rank, rank_in_list, ranks, recall
from retrieval.evaluation.report import Direction, IndexUsed, Scores

TIMED = 200
"""How many queries are timed."""
TUNED = 500
"""How many pictures tune an index of texts."""

Rows = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
Search = Callable[[Rows, int], object]


@dataclass(frozen=True)
class Embedded:
    """The embeddings of pictures and their captions, in the order of the dataset."""

    images: Rows
    """(n, dim) of unit length."""
    texts: Rows
    """(m, dim) of unit length; the captions of one picture stand together."""
    content: Numbers
    """(n,), equal for copies of one picture: the captions of each copy are right for all copies."""
    picture: Numbers
    """(m,), ascending: the picture that each text belongs to."""

    @property
    def owner(self) -> Numbers:
        """(m,): the content that each text describes."""
        return self.content[self.picture]

    def folds(self, count: int) -> list["Embedded"]:
        """`count` contiguous blocks of equal size. Raises ValueError if pictures are left over."""
        size, rest = divmod(len(self.images), count)
        if rest:
            raise ValueError(f"{len(self.images)} pictures cannot make {count} equal folds")
        blocks = []
        for start in range(0, len(self.images), size):
            first, last = np.searchsorted(self.picture, [start, start + size])
            block = slice(start, start + size)
            blocks.append(
                Embedded(
                    self.images[block],
                    self.texts[first:last],
                    self.content[block],
                    self.picture[first:last] - start,
                )
            )
        return blocks


def exact_scores(
    blocks: Sequence[Embedded], ks: Sequence[int]
) -> tuple[Scores, list[Numbers], list[Numbers]]:
    """Scores from the whole matrix, and for each block the ranks of its texts and of its images."""
    found, text_ranks, image_ranks = [], [], []
    for block in blocks:
        of_texts = ranks(block.texts, block.images, block.owner, block.content)
        of_images = ranks(block.images, block.texts, block.content, block.owner)
        found.append(
            Scores(
                _exact_direction(of_texts, block.texts, block.images, ks),
                _exact_direction(of_images, block.images, block.texts, ks),
            )
        )
        text_ranks.append(of_texts)
        image_ranks.append(of_images)
    return mean_scores(found), text_ranks, image_ranks


def index_scores(
    blocks: Sequence[Embedded],
    ks: Sequence[int],
    kind: Literal["flat", "ivf"],
    phrases: Callable[[], Rows],
    progress: Progress,
) -> tuple[Scores, IndexUsed]:
    """Scores through the index that a library of these pictures and texts would have.

    `phrases()` tunes the index of pictures: the captions that measure an index must not tune it. A
    sample of the pictures tunes the index of texts. If there are too few rows for lists,
    `IndexUsed.kind` is ``flat`` even if `kind` is ``ivf``.
    """
    indexes = [
        (
            trial_index(block.images, kind, phrases),
            trial_index(block.texts, kind, partial(_sample, block.images, TUNED)),
        )
        for block in blocks
    ]
    progress.start(sum(len(b.texts) + len(b.images) for b in blocks), "searches")
    try:
        found = [
            Scores(
                _index_direction(images, b.texts, b.owner, b.content, ks, progress),
                _index_direction(texts, b.images, b.content, b.owner, ks, progress),
            )
            for b, (images, texts) in zip(blocks, indexes, strict=True)
        ]
    finally:
        progress.finish()
    of_images, of_texts = zip(*indexes, strict=True)
    used = _largest(of_images), _largest(of_texts)
    return mean_scores(found), IndexUsed("ivf" if any(used) else "flat", *used)


def exact_search(gallery: Rows, query: Rows, k: int) -> npt.NDArray[np.intp]:
    """The numbers of the `k` rows of `gallery`, (n, dim), with the best scores, best first."""
    scores = gallery @ query
    k = min(k, len(scores))
    best = np.argpartition(scores, -k)[-k:]
    return best[np.argsort(-scores[best])]


def mean_scores(scores: Sequence[Scores]) -> Scores:
    """The mean of every figure over all folds."""
    return Scores(
        _mean([s.text_to_image for s in scores]), _mean([s.image_to_text for s in scores])
    )


def _mean(found: Sequence[Direction]) -> Direction:
    medians = [d.median_rank for d in found if d.median_rank is not None]
    means = [d.mean_rank for d in found if d.mean_rank is not None]
    return Direction(
        {k: fmean(d.recall[k] for d in found) for k in found[0].recall},
        fmean(medians) if medians else None,
        fmean(means) if means else None,
        fmean(d.milliseconds for d in found),
    )


def _exact_direction(found: Numbers, queries: Rows, gallery: Rows, ks: Sequence[int]) -> Direction:
    return Direction(
        {k: recall(found, k) for k in ks},
        median_rank(found),
        mean_rank(found),
        _milliseconds(lambda query, k: exact_search(gallery, query, k), queries, max(ks)),
    )


def _index_direction(
    index: TrialIndex,
    queries: Rows,
    query_owner: Numbers,
    gallery_owner: Numbers,
    ks: Sequence[int],
    progress: Progress,
) -> Direction:
    found = np.empty(len(queries), np.int64)
    for i, query in enumerate(queries):
        numbers, scores = index.search(query, max(ks))
        found[i] = rank_in_list(scores, gallery_owner[numbers], query_owner[i])
        progress.advance(1)
    return Direction(
        {k: recall(found, k) for k in ks},
        None,
        None,
        _milliseconds(index.search, queries, max(ks)),
    )


def _milliseconds(search: Search, queries: Rows, k: int) -> float:
    """Median time of a search, over a sample of `queries` that run one after another."""
    times = []
    for query in _sample(queries, TIMED):
        began = time.perf_counter()
        search(query, k)
        times.append(time.perf_counter() - began)
    return 1e3 * float(np.median(times))


def _sample(rows: Rows, count: int) -> Rows:
    if len(rows) <= count:
        return rows
    return rows[np.sort(np.random.default_rng(SAMPLE_SEED).choice(len(rows), count, replace=False))]


def _largest(indexes: Sequence[TrialIndex]) -> tuple[int, int] | None:
    return max((index.lists for index in indexes if index.lists), default=None)
