"""What an evaluation found, as plain values. Tables, JSON and pages are made from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Index = Literal["exact", "flat", "ivf"]
"""``exact`` means the whole matrix of scores and no index."""


@dataclass(frozen=True)
class Direction:
    """How well one kind of query finds the other kind."""

    recall: Mapping[int, float]
    """For each K the share of queries, in [0, 1], with a right answer among the first K."""
    median_rank: float | None
    """Median of the rank of the best right answer, where the first answer has rank 1. None through
    an index, because an index returns only the first few answers."""
    mean_rank: float | None
    milliseconds: float
    """Median time to search for one query, without the time to embed it. The queries run one after
    another."""


@dataclass(frozen=True)
class Scores:
    """Both directions. With folds, every figure is the mean over the folds."""

    text_to_image: Direction
    image_to_text: Direction

    @property
    def rsum(self) -> float:
        """Sum of all recalls of both directions in percent; at most 600 for K = 1, 5 and 10."""
        both = (self.text_to_image, self.image_to_text)
        return 100 * sum(sum(direction.recall.values()) for direction in both)


@dataclass(frozen=True)
class IndexUsed:
    """The index that gave the approximate scores. Its lists are those that a library would have
    chosen."""

    kind: Literal["flat", "ivf"]
    image_lists: tuple[int, int] | None
    """(nlist, nprobe) of the index of pictures; the largest of all folds. None if it is flat."""
    text_lists: tuple[int, int] | None
    """The same for the index of captions."""


@dataclass(frozen=True)
class Published:
    """A row of a published table."""

    source: str
    text_to_image: Mapping[int, float]
    """For each K the recall in percent."""
    image_to_text: Mapping[int, float]


@dataclass(frozen=True)
class Report:
    """Everything that a reader needs to trust the figures and to reproduce them."""

    dataset: str
    split: str
    layout: str
    """What the annotations were read from, in words."""
    images: int
    captions: int
    caption_rule: str
    """``all`` or ``first5``."""
    folds: int
    """Number of contiguous blocks. The figures are means over the blocks; 1 means no folds."""
    model: str
    fingerprint: str
    revision: str | None
    """The commit on the hub; None for a local or bundled model."""
    preprocessing: str
    """What happens to a picture before it is embedded, in words."""
    computed: str
    """The precision and the device of the embeddings, such as ``float32 on cpu``."""
    versions: Mapping[str, str]
    """Of the packages that embeddings and ranks come from."""
    exact: Scores
    index: IndexUsed | None
    approximate: Scores | None
    """The scores through `index`; None if only exact scores were measured."""
    published: Published | None
    """The published result of this model on this dataset, split and caption rule."""
    notes: tuple[str, ...]
    """What a reader must know: sizes that are not the standard ones, copies, missing pictures."""
    seconds: float


@dataclass(frozen=True)
class Miss:
    """A caption whose picture did not come first."""

    caption: str
    image: int
    """The right picture, as an index into the dataset's examples."""
    rank: int
    first: tuple[int, ...]
    """The pictures that came first, best first, as indexes into the dataset's examples."""


@dataclass(frozen=True)
class Evaluation:
    """A report, and the data that a page shows beside it."""

    report: Report
    text_ranks: npt.NDArray[np.int64]
    """Rank of the right picture for each caption, (captions,); with folds, within the fold."""
    image_ranks: npt.NDArray[np.int64]
    """Rank of the best own caption for each picture, (images,); with folds, within the fold."""
    misses: tuple[Miss, ...]
    """The worst misses, worst first; each picture at most once."""
