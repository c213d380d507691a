"""How an index is laid out, by rule: everything about its size is decided here."""

import math
from dataclasses import dataclass
from typing import Literal

from indexer.records import LayoutChoice

FLAT_LIMIT = 200_000
"""Most items that ``auto`` keeps in a flat index."""

TARGET_RECALL = 0.95
"""Recall@10 against exact search that an index must reach unless told otherwise."""

SAMPLE_PER_LIST = 64
"""Embeddings that a list is trained on; FAISS wants 39 at least and takes 256 at most."""

SAMPLE_SEED = 20_240_601
"""Seed of every random sample, so that the same rows give the same sample."""


@dataclass(frozen=True)
class Layout:
    """Codes are float16, as the database has them, in any layout: nothing is lost."""

    nlist: int | None
    """Lists of an IVF index; None for a flat one."""

    @property
    def type(self) -> Literal["flat", "ivf"]:
        """Its name."""
        return "flat" if self.nlist is None else "ivf"

    @property
    def sample(self) -> int:
        """How many embeddings its lists are trained on; 0 for a flat one."""
        return SAMPLE_PER_LIST * (self.nlist or 0)


def layout(count: int, choice: LayoutChoice = "auto") -> Layout:
    """The layout for `count` items: nlist near 4 sqrt(count), but never so many that a list has
    fewer than `SAMPLE_PER_LIST` embeddings to be trained on; flat where one would have."""
    if choice == "flat" or (choice == "auto" and count <= FLAT_LIMIT):
        return Layout(None)
    return Layout(min(round(4 * math.sqrt(count)), count // SAMPLE_PER_LIST) or None)
