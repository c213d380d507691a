"""What an encoder returned, as it is stored."""

import numpy as np

from encoder.protocol import Embeddings
from indexer.database import embeddings
from indexer.errors import EmbeddingError

_TOLERANCE = 1e-3
"""The length of an embedding may differ from 1 by less than this."""


def stored(rows: Embeddings, count: int, dim: int, encoder: str) -> list[bytes]:
    """`count` rows of `dim` numbers as they are stored. EmbeddingError names the `encoder` if its
    rows are anything else than unit vectors of this number and length."""
    if rows.shape != (count, dim):
        problem = f"an array of shape {rows.shape} instead of {(count, dim)}"
    elif not np.isfinite(rows).all():
        problem = "numbers that are not finite"
    elif (abs(np.linalg.norm(rows, axis=1) - 1) >= _TOLERANCE).any():
        problem = "vectors that are not of length 1"
    else:
        return embeddings.encode(rows)
    raise EmbeddingError(
        f"{encoder} returned {problem}; nothing of this batch was kept, check the checkpoint or"
        " index with another model"
    )
