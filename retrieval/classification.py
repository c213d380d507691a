"""Zero-shot classification: which of some labels describes a picture best."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from encoder import Decoders, Embeddings, Encoder
from encoder.pictures.sources import PictureSource, several
from indexer import is_unicode
from retrieval.defaults import TEMPLATE
from retrieval.errors import QueryError
from retrieval.query import open_picture

_BATCH = 32


@dataclass(frozen=True)
class LabelScore:
    """How probable a label is among the labels given."""

    label: str
    probability: float
    """In [0, 1]; the probabilities of one picture add up to 1."""


NONE = "none of these"
"""The label of pictures that show nothing in particular."""
BACKGROUND = ("a photo", "a picture", "an image")
"""What such pictures are compared with."""


def classify(
    encoder: Encoder,
    pictures: Iterable[PictureSource] | PictureSource,
    labels: Sequence[str],
    *,
    templates: Sequence[str] = (TEMPLATE,),
    none: bool = False,
) -> list[list[LabelScore]]:
    """Rank all `labels` for each picture, the most probable label first.

    A picture is anything that `Engine.similar` takes. The probabilities are the softmax of cosine /
    temperature. The embedding of a label is the mean of its embeddings in all `templates`; each
    template has a ``{}`` where the label goes. With `none`, and with a single label, the label
    "none of these" competes: plain wordings without a subject. Raises QueryError if there is no
    label, a label is blank or given twice, or a template has no ``{}``; PictureError if a picture
    cannot be read.
    """
    labels, texts = competing(encoder, labels, templates, none=none)
    found = []
    waiting = several(pictures)
    with Decoders() as decoders:
        for start in range(0, len(waiting), _BATCH):
            some = waiting[start : start + _BATCH]
            found += label_scores(encoder, decoders, some, labels, texts)
    return found


def label_scores(
    encoder: Encoder,
    decoders: Decoders,
    pictures: Sequence[PictureSource],
    labels: Sequence[str],
    texts: Embeddings,
) -> list[list[LabelScore]]:
    """As `classify`, of a few pictures at once; `texts` are what `label_embeddings` made of
    `labels`."""
    opened = [open_picture(picture, encoder, decoders) for picture in pictures]
    rows = probabilities(encoder.encode_images(opened), texts, encoder.temperature)
    return [_ordered(labels, row) for row in rows]


class Judge:
    """Labels, ready to be compared with one picture after another."""

    def __init__(
        self,
        encoder: Encoder,
        labels: Sequence[str],
        cutoffs: Mapping[str, float],
        templates: Sequence[str] = (TEMPLATE,),
        *,
        none: bool = False,
    ) -> None:
        """`labels` compete as in `classify`; those of `cutoffs` are judged each by itself."""
        self._encoder = encoder
        self.labels: list[str] = []
        if labels or not cutoffs:
            self.labels, self._texts = competing(encoder, labels, templates, none=none)
        self._alone = list(cutoffs)
        if cutoffs:
            self._own = label_embeddings(encoder, self._alone, templates)

    def __call__(
        self, picture: PictureSource, decoders: Decoders
    ) -> tuple[dict[str, float], dict[str, float]]:
        """The probabilities of the labels that compete, and the cosines of the others. Raises
        PictureError."""
        row = self._encoder.encode_images([open_picture(picture, self._encoder, decoders)])
        scores: dict[str, float] = {}
        if self.labels:
            (found,) = probabilities(row, self._texts, self._encoder.temperature).tolist()
            scores = dict(zip(self.labels, found, strict=True))
        cosines = (row @ self._own.T)[0].tolist() if self._alone else []
        return scores, dict(zip(self._alone, cosines, strict=True))


def competing(
    encoder: Encoder, labels: Sequence[str], templates: Sequence[str], *, none: bool
) -> tuple[list[str], Embeddings]:
    """The labels among which a picture is classified, (n,), and their embeddings, (n, dim): those
    given, and "none of these" if it is wanted or there is nothing else to compare with."""
    rows = label_embeddings(encoder, labels, templates)
    if not (none or len(labels) == 1):
        return list(labels), rows
    plain = encoder.encode_texts(BACKGROUND).mean(axis=0)
    plain /= np.linalg.norm(plain)
    return [*labels, NONE], np.concatenate([rows, plain[None]])


def label_embeddings(
    encoder: Encoder, labels: Sequence[str], templates: Sequence[str] = (TEMPLATE,)
) -> Embeddings:
    """The embeddings of `labels`, (n, dim): for each label the mean over all `templates`,
    normalised again (arXiv 2103.00020, section 3.1.4). Raises QueryError as `classify` does."""
    if isinstance(labels, str) or isinstance(templates, str):
        raise TypeError("labels and templates take a list, as in labels=['cat', 'dog']")
    if any(not label.strip() for label in labels):
        raise QueryError("a label is blank: leave it out")
    for text in (*labels, *templates):
        if not is_unicode(text):
            raise QueryError(f"{text!a} is not a text: give it in UTF-8")
    if len(set(labels)) < len(labels):
        raise QueryError("a label is given twice: give each label once")
    if NONE in labels:
        raise QueryError(f"{NONE!r} is no label of its own: ask for it")
    if not labels:
        raise QueryError("there is no label: give one or more")
    if not templates:
        raise QueryError("there is no template: give one such as 'a photo of a {}'")
    for template in templates:
        if "{}" not in template:
            raise QueryError(f"the template {template!r} has no {{}} where the label goes")
    filled = [template.replace("{}", label) for label in labels for template in templates]
    rows = encoder.encode_texts(filled).reshape(len(labels), len(templates), -1)
    mean: Embeddings = rows.mean(axis=1)
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    return mean


def probabilities(
    images: Embeddings, labels: Embeddings, temperature: float
) -> npt.NDArray[np.float64]:
    """Softmax over `labels` (m, dim) of cosine / `temperature` for each of `images` (n, dim);
    (n, m), rows adding up to 1."""
    logits = images.astype(np.float64) @ labels.T.astype(np.float64) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    grown: npt.NDArray[np.float64] = np.exp(logits)
    grown /= grown.sum(axis=1, keepdims=True)
    return grown


def _ordered(labels: Sequence[str], row: npt.NDArray[np.float64]) -> list[LabelScore]:
    best_first = np.argsort(-row, kind="stable").tolist()
    return [LabelScore(labels[i], float(row[i])) for i in best_first]
