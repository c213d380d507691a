"""What an evaluation found: plain values, for a table, JSON and pages to be made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Index = Literal["exact", "flat", "ivf"]
"""``exact``: the whole matrix of scores, no index."""


@dataclass(frozen=True)
class Direction:
    """How well one kind of query finds the other kind."""

    recall: Mapping[int, float]
    """K to the share, in [0, 1], of queries with a right answer among the first K."""
    median_rank: float | None
    """Of the best right answer, the first being 1; None through an index, which returns the first
    few alone."""
    mean_rank: float | None
    milliseconds: float
    """Median time of one query's search, one after another, its embedding left out."""


@dataclass(frozen=True)
class Scores:
    """Both directions; over folds, the mean of every figure."""

    text_to_image: Direction
    image_to_text: Direction

    @property
    def rsum(self) -> float:
        """Sum of all recalls in percent; of 1, 5 and 10 in both directions at most 600."""
        both = (self.text_to_image, self.image_to_text)
        return 100 * sum(sum(direction.recall.values()) for direction in both)


@dataclass(frozen=True)
class IndexUsed:
    """The index that the approximate scores went through; its lists as a library would have
    chosen them."""

    kind: Literal["flat", "ivf"]
    image_lists: tuple[int, int] | None
    """(nlist, nprobe) of the index of pictures, over folds the largest; None where it is flat."""
    text_lists: tuple[int, int] | None


@dataclass(frozen=True)
class Published:
    """A row of a published table."""

    source: str
    text_to_image: Mapping[int, float]
    """K to percent."""
    image_to_text: Mapping[int, float]


@dataclass(frozen=True)
class Report:
    """Everything that a reader needs to believe the figures, and to make them again."""

    dataset: str
    split: str
    layout: str
    """What the annotations were read from, in words."""
    images: int
    captions: int
    caption_rule: str
    """``all`` or ``first5``."""
    folds: int
    """Contiguous blocks that the figures are means over; 1 where it is one."""
    model: str
    fingerprint: str
    revision: str | None
    """The hub's commit; None for a local or bundled model."""
    preprocessing: str
    """In words."""
    exact: Scores
    index: IndexUsed | None
    approximate: Scores | None
    """Through `index`; None where only exact scores were asked for."""
    published: Published | None
    """Of this model on this dataset, split and caption rule."""
    notes: tuple[str, ...]
    """What a reader must know: sizes that are not the standard ones, duplicates, what was
    missing."""
    seconds: float


@dataclass(frozen=True)
class Miss:
    """A caption whose picture came late."""

    caption: str
    image: int
    """The right one, an index into the dataset's examples."""
    rank: int
    first: tuple[int, ...]
    """The examples whose pictures came first, best first."""


@dataclass(frozen=True)
class Evaluation:
    """A report, and what a plot shows beyond it."""

    report: Report
    text_ranks: npt.NDArray[np.int64]
    """Rank of its picture for each caption, (captions,), over folds within its fold."""
    image_ranks: npt.NDArray[np.int64]
    """Rank of the best own caption for each picture, (images,)."""
    misses: tuple[Miss, ...]
    """The worst ones, worst first; a picture once at most."""
