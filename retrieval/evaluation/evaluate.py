"""`evaluate`: an encoder's recall on a dataset, with all that a reader needs to trust it."""

import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Literal

import numpy as np

from encoder import Encoder
from encoder.datasets import Dataset, Example, standard_size
from encoder.errors import DatasetError
from indexer import NULL, Progress, bundled_phrases
from retrieval.evaluation.cache import EmbeddingCache
from retrieval.evaluation.embedding import embed_pictures, embed_texts
from retrieval.evaluation.metrics import KS
from retrieval.evaluation.misses import worst_misses
from retrieval.evaluation.published import published
from retrieval.evaluation.report import Evaluation, Index, IndexUsed, Report
from retrieval.evaluation.scoring import Embedded, exact_scores, index_scores

CaptionRule = Literal["all", "first5"]
FOLD = 1000
"""Pictures of each fold, if there are several folds."""
NAMED = 3
"""Most pictures that a message names."""


def evaluate(
    encoder: Encoder,
    dataset: Dataset,
    *,
    captions: CaptionRule = "all",
    folds: int = 1,
    index: Index = "exact",
    ks: Sequence[int] = KS,
    cache: Path | None = None,
    allow_missing: bool = False,
    batch_size: int = 32,
    workers: int | None = None,
    progress: Progress = NULL,
) -> Evaluation:
    """Recall@K of `encoder` on `dataset`, text to image and image to text.

    `captions`: all captions, or the first five of each picture as VSE++ and SCAN count. `folds`:
    the number of contiguous blocks of 1,000 pictures. The figures are means over the blocks; 5 is
    the 1K protocol of COCO. `index`: unless it is ``exact``, the report also has the scores through
    the index that a library would have. `cache`: a folder that keeps embeddings for the next run.
    Pictures of equal content count as one: the captions of each copy are right for all copies.

    Raises DatasetError if there are no pictures, if their number does not fit `folds`, or if a
    picture is missing or cannot be read; `allow_missing` leaves such pictures out instead. Raises
    ValueError if `ks` is empty or has a number below 1.
    """
    if not ks or min(ks) < 1:
        raise ValueError(f"every K must be 1 or more, but ks is {ks}")
    began = time.perf_counter()
    notes = [*dataset.notes, *_size_note(dataset)]
    chosen = _present(dataset, allow_missing, notes)
    _check_folds(chosen, folds)

    computed = str(getattr(encoder, "precision", ""))
    # Embeddings of two precisions differ in their last digits.
    identity = "-".join([encoder.fingerprint, *re.findall("[a-z0-9]+", computed.lower())])
    cached = partial(EmbeddingCache, cache, identity, dim=encoder.dim)

    def refuse(number: int, reason: str) -> None:
        if not allow_missing:
            name = chosen[number].example.picture.name
            raise DatasetError(
                f"{name} cannot be read ({reason}): replace it, or leave out pictures that cannot"
                " be read with --allow-missing"
            )

    pictures = embed_pictures(
        encoder,
        [c.example.picture for c in chosen],
        cached(kind="images"),
        batch_size=batch_size,
        workers=workers,
        progress=progress,
        on_unreadable=refuse,
    )
    if pictures.unreadable:
        names = [chosen[number].example.picture.name for number in pictures.unreadable]
        notes.append(
            f"Pictures left out because they cannot be read: {len(names):,} ({_listed(names)})."
        )
        chosen = [c for number, c in enumerate(chosen) if number not in pictures.unreadable]
        _check_folds(chosen, folds)
    copies = len(chosen) - len(set(pictures.content.tolist()))
    if copies:
        notes.append(
            f"Copies of other pictures: {copies:,}; the captions of one are right for the other."
        )

    owned = [_captions(c.example, captions) for c in chosen]
    notes += _caption_notes(chosen, owned, captions)
    texts = [caption for own in owned for caption in own]
    texts_cache = cached(kind="texts")
    rows = embed_texts(encoder, texts, texts_cache, progress, "captions")

    picture = np.repeat(np.arange(len(chosen)), [len(own) for own in owned])
    blocks = Embedded(pictures.rows, rows, pictures.content, picture).folds(folds)
    exact, text_ranks, image_ranks = exact_scores(blocks, ks)
    through, used = None, None
    if index != "exact":
        phrases = partial(embed_texts, encoder, bundled_phrases(), texts_cache, progress, "phrases")
        through, used = index_scores(blocks, ks, index, phrases, progress)
        notes += _index_notes(index, used)

    report = Report(
        dataset=dataset.name,
        split=dataset.split,
        layout=dataset.layout,
        images=len(chosen),
        captions=len(texts),
        caption_rule=captions,
        folds=folds,
        model=encoder.name,
        fingerprint=encoder.fingerprint,
        revision=encoder.revision,
        preprocessing=encoder.preprocessing,
        computed=computed or "unknown",
        versions=_versions(),
        exact=exact,
        index=used,
        approximate=through,
        published=published(
            encoder.name, dataset.name, dataset.split, captions, len(chosen) // folds
        ),
        notes=tuple(notes),
        seconds=time.perf_counter() - began,
    )
    return Evaluation(
        report,
        np.concatenate(text_ranks),
        np.concatenate(image_ranks),
        worst_misses(blocks, text_ranks, texts, [c.number for c in chosen]),
    )


def check(dataset: Dataset, *, folds: int = 1, allow_missing: bool = False) -> None:
    """Raise the DatasetError that `evaluate` would raise before it embeds anything.

    So a caller can check a dataset before it fetches and loads a model.
    """
    _check_folds(_present(dataset, allow_missing, []), folds)


@dataclass(frozen=True)
class _Chosen:
    """An example whose picture exists."""

    number: int
    """Its place in the dataset."""
    example: Example


def _present(dataset: Dataset, allow_missing: bool, notes: list[str]) -> list[_Chosen]:
    chosen, missing = [], []
    for number, example in enumerate(dataset.examples):
        if example.picture.exists():
            chosen.append(_Chosen(number, example))
        else:
            missing.append(example.picture.name)
    if missing and not (allow_missing and chosen):
        raise DatasetError(
            f"{len(missing):,} of {len(dataset):,} pictures are not there ({_listed(missing)}):"
            " check --images, or leave them out with --allow-missing"
        )
    if missing:
        notes.append(
            f"Pictures left out because they are not there: {len(missing):,} ({_listed(missing)})."
        )
    return chosen


def _check_folds(chosen: Sequence[_Chosen], folds: int) -> None:
    if not chosen:
        raise DatasetError("there are no pictures to evaluate on")
    if folds > 1 and len(chosen) != folds * FOLD:
        raise DatasetError(
            f"{folds} folds of {FOLD:,} need {folds * FOLD:,} pictures, but there are"
            f" {len(chosen):,}: leave out --folds"
        )


def _captions(example: Example, rule: CaptionRule) -> tuple[str, ...]:
    return example.captions[:5] if rule == "first5" else example.captions


def _size_note(dataset: Dataset) -> list[str]:
    standard = standard_size(dataset.name, dataset.split)
    if standard is None or standard == (len(dataset), dataset.captions):
        return []
    return [
        f"Not the standard {dataset.name} {dataset.split} of {standard[0]:,} pictures and"
        f" {standard[1]:,} captions: this one has {len(dataset):,} and"
        f" {dataset.captions:,}."
    ]


def _caption_notes(
    chosen: Sequence[_Chosen], owned: Sequence[Sequence[str]], rule: CaptionRule
) -> list[str]:
    notes = []
    count = sum(len(own) for own in owned)
    if rule == "first5":
        rest = sum(len(c.example.captions) for c in chosen) - count
        notes.append(f"The first five captions of each picture count; left out: {rest:,}.")
    again = count - len({caption for own in owned for caption in own})
    if again:
        notes.append(f"Captions that repeat another one word for word: {again:,}.")
    return notes


def _index_notes(asked: Index, used: IndexUsed) -> list[str]:
    small = {"pictures": used.image_lists, "captions": used.text_lists}
    return [
        f"The index of {what} is flat: there are too few {what} for an IVF index."
        for what, lists in small.items()
        if asked == "ivf" and lists is None
    ]


def _listed(names: Sequence[str]) -> str:
    """The first names, as in ``a.jpg, b.jpg, c.jpg and others``."""
    return ", ".join(names[:NAMED]) + (" and others" if len(names) > NAMED else "")


def _versions() -> dict[str, str]:
    names = ("align-retrieval", "torch", "openvino", "faiss-cpu", "pillow", "numpy")
    found = {}
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
