"""The queries that an index with lists is measured with: as like as possible to those of users."""

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
"""An index is measured with at most this many queries."""

FEWEST = 100
"""A library with fewer texts than this says too little about what users will ask."""

_PHRASES = Path(__file__).parent / "phrases.txt"


def bundled_phrases() -> list[str]:
    """500 everyday phrases, as people type them into a search box."""
    return _PHRASES.read_text("utf-8").splitlines()


def tuning_queries(
    engine: Engine, kind: Kind, load_encoder: Callable[[], Encoder], captions: Sequence[str] = ()
) -> Queries:
    """Queries for an index of items of `kind`.

    An index of pictures is measured with texts: with `captions` if there are any, else with the
    library's own texts if it has enough, else with the bundled phrases. An index of texts is
    measured with the library's pictures if it has enough, else with the phrases. Texts and pictures
    lie apart in the space: measured with pictures, an index of pictures would look too good.
    """
    if captions and kind == "image":
        chosen = [str(c) for c in np.random.default_rng(SAMPLE_SEED).permutation(captions)[:MOST]]
        encoder = _own_encoder(engine, load_encoder)
        return Queries(encoder.encode_texts(chosen), f"{len(chosen)} of the captions given")
    other: Kind = "text" if kind == "image" else "image"
    with engine.begin() as db:
        current = catalogue.current_model(db)
        assert current is not None  # without a model there are no vectors to build an index from
        model_id, model = current
        ids, rows = embeddings.sampled_vectors(db, other, model_id, model.dim, MOST, SAMPLE_SEED)
        phrases = embeddings.phrase_vectors(db, model_id, model.dim)
    if len(ids) >= FEWEST:
        return Queries(rows, f"{len(ids)} of the library's {other}s")
    if phrases is None:
        phrases = _own_encoder(engine, load_encoder).encode_texts(bundled_phrases())
        with engine.begin() as db:
            journal.put_phrases(db, model_id, phrases)
    return Queries(phrases, f"{len(phrases)} everyday phrases")


def _own_encoder(engine: Engine, load_encoder: Callable[[], Encoder]) -> Encoder:
    """The encoder, which must be the one that searches use. Raises ModelMismatch."""
    encoder = load_encoder()
    with engine.begin() as db:
        journal.recognise(db, encoder)
        catalogue.require_model(db, encoder.fingerprint)
    return encoder
