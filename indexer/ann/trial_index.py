"""An index in memory, like the one that a library would publish, to measure what it costs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from indexer.ann.exact_search import TOLERANCE, exact_scores
from indexer.ann.layout import SAMPLE_SEED, TARGET_RECALL, layout
from indexer.ann.tuning import Queries, measure
from indexer.database.embeddings import CHUNK, Ids, Rows, Vectors
from indexer.recall_curve import EXACT, Probing
from indexer.records import LayoutChoice

if TYPE_CHECKING:
    from indexer.ann.faiss_index import Index


@dataclass(frozen=True)
class TrialIndex:
    """An index of numbered rows. A search works as in a library, without filters. Made by
    `trial_index`."""

    index: "Index"
    halves: npt.NDArray[np.float16]
    """The rows as a library stores them, (n, dim)."""
    probing: Probing = EXACT

    @property
    def lists(self) -> tuple[int, int] | None:
        """(nlist, nprobe); None for a flat index."""
        return (self.index.nlist, self.probing.nprobe) if self.index.ivf else None

    def search(self, query: Rows, k: int) -> tuple[Ids, Rows]:
        """Numbers and scores of the `k` rows nearest to the unit vector `query`, (dim,) float32,
        best first. Rows with the same score as the last of them are added.

        A library reads the rows of its candidates from the database; here they are in memory.
        """
        from indexer.ann import faiss_index

        everything = faiss_index.all_but(np.zeros(0, np.int64), self.index)
        ids, _ = faiss_index.candidates(self.index, query, k, everything, self.probing, TOLERANCE)
        scores = exact_scores(self.halves[ids].astype(np.float32), query)
        order = np.lexsort((ids, -scores))
        ids, scores = ids[order], scores[order]
        enough = scores >= scores[min(k, len(scores)) - 1]
        return ids[enough], scores[enough]


def trial_index(
    rows: Rows, choice: LayoutChoice, queries: Callable[[], Rows], target: float = TARGET_RECALL
) -> TrialIndex:
    """An index of unit `rows`, (n, dim) float32 with n at least 1, made as a generation is made.

    The codes are float16. An index with lists gets the smallest nprobe whose recall@10 of
    `queries()`, (q, dim), reaches `target`. It is flat if there are too few rows for lists.
    """
    from indexer.ann import faiss_index

    planned = layout(len(rows), choice)
    halves = rows.astype("<f2")

    def pieces() -> Iterator[Vectors]:
        for start in range(0, len(halves), CHUNK):
            piece = halves[start : start + CHUNK].astype(np.float32)
            yield np.arange(start, start + len(piece)), piece

    def sample() -> Rows:
        rng = np.random.default_rng(SAMPLE_SEED)
        chosen = np.sort(rng.choice(len(halves), planned.sample, replace=False))
        return halves[chosen].astype(np.float32)

    index = faiss_index.build(planned, rows.shape[1], sample, pieces)
    if planned.nlist is None:
        return TrialIndex(index, halves)
    tuning = Queries(queries(), "a trial")
    curve = measure(index, tuning, pieces, target)
    return TrialIndex(index, halves, curve.probing)
