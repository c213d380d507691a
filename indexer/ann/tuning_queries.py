"""What the lists of an index are measured with: the sort of query that will be asked of it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from sqlalchemy import Engine

from encoder.protocol import Encoder
from indexer.ann.layout import SAMPLE_SEED
from indexer.ann.tuning import Queries
from indexer.database import catalogue, embeddings, journal
from indexer.records import Kind

MOST = 500
"""Queries that an index is measured with."""

FEWEST = 100
"""Fewer texts than this in a library say too little of what will be asked."""

_PHRASES = Path(__file__).parent / "phrases.txt"


def bundled_phrases() -> list[str]:
    """500 everyday phrases, as people type them into a search box."""
    return _PHRASES.read_text("utf-8").splitlines()


def tuning_queries(
    engine: Engine, kind: Kind, load_encoder: Callable[[], Encoder], captions: Sequence[str] = ()
) -> Queries:
    """Texts for an index of pictures: `captions` if given, else the library's own texts, else the
    bundled phrases; pictures for an index of texts, where there are any. Texts and pictures lie
    apart in the space: measured with pictures, an index of pictures would look better than it is.
    """
    if captions and kind == "image":
        chosen = [str(c) for c in np.random.default_rng(SAMPLE_SEED).permutation(captions)[:MOST]]
        return Queries(load_encoder().encode_texts(chosen), f"{len(chosen)} of the captions given")
    other: Kind = "text" if kind == "image" else "image"
    with engine.begin() as db:
        current = catalogue.current_model(db)
        assert current is not None  # there are vectors to build an index of
        model_id, model = current
        ids, rows = embeddings.sampled_vectors(db, other, model_id, model.dim, MOST, SAMPLE_SEED)
        phrases = embeddings.phrase_vectors(db, model_id, model.dim)
    if len(ids) >= FEWEST:
        return Queries(rows, f"{len(ids)} of the library's {other}s")
    if phrases is None:
        phrases = load_encoder().encode_texts(bundled_phrases())
        with engine.begin() as db:
            journal.put_phrases(db, model_id, phrases)
    return Queries(phrases, f"{len(phrases)} everyday phrases")
