"""Sketches: short vectors that are never further from each other than their embeddings are."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from indexer.database.embeddings import Rows

SAMPLE = 2000
"""So many embeddings tell which dimensions say most."""

_LONGEST = 1.001
"""The square of the length of a unit vector that was rounded to float16 is at most this."""


@dataclass(frozen=True)
class Sketcher:
    """Keeps the dimensions in which embeddings differ most; of the others only their length.

    The product of two sketches is therefore at least that of their embeddings, and their lengths
    are the same.
    """

    basis: Rows
    """(dim, kept), orthonormal columns."""

    @classmethod
    def of(cls, sample: Rows, kept: int) -> Self:
        """One that keeps `kept` dimensions, or all if `sample`, (n, dim), has no more."""
        dim = sample.shape[1]
        if dim <= kept:
            return cls(np.eye(dim, dtype=np.float32))
        _, vectors = np.linalg.eigh((sample.T @ sample).astype(np.float64))
        return cls(vectors[:, -kept:].astype(np.float32))

    def shorter(self, kept: int) -> "Sketcher":
        """One that makes sketches of these sketches, with the `kept` dimensions that say most."""
        length = self.basis.shape[1]
        start = max(length - kept, 0)
        return Sketcher(np.eye(length + 1, dtype=np.float32)[:, start:length])

    def __call__(self, rows: Rows) -> Rows:
        """The sketches of `rows`, (n, kept + 1)."""
        kept = rows @ self.basis
        rest = _squares(rows) - _squares(kept)
        return np.column_stack([kept, np.sqrt(np.maximum(rest, 0))])


def farthest(threshold: float) -> float:
    """Unit vectors with a product of at least `threshold` are at most this far from each other."""
    return math.sqrt(2 * max(_LONGEST - threshold, 0))


def _squares(rows: Rows) -> npt.NDArray[np.float32]:
    squares: npt.NDArray[np.float32] = np.einsum("nd,nd->n", rows, rows)
    return squares
