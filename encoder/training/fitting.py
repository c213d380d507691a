"""The start of two towers in one space: least squares, and what the picture tower already tells."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from encoder.errors import EncoderError
from encoder.training.data import DrawnViews
from encoder.training.foreign import Classifier
from encoder.training.kept import KeptTexts, Progress, head_features, phrases
from encoder.training.starts import Start

PICTURE_PENALTY, TEXT_PENALTY = 0.12, 0.001
"""Of ridge regression, as a share of the mean variance of what it starts from."""


@dataclass(frozen=True)
class Classes:
    """What the classifier of a picture tower tells about the captioned pictures."""

    names: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]
    """(pictures, names)."""

    @property
    def identity(self) -> str:
        """SHA-256 of both, a hex string."""
        digest = hashlib.sha256(json.dumps(self.names).encode())
        digest.update(self.probabilities.tobytes())
        return digest.hexdigest()


def fit_projections(
    start: Start,
    sets: Sequence[tuple[DrawnViews, Sequence[str]]],
    texts: KeptTexts,
    folder: Path,
    progress: Progress = lambda what, done, count: None,
) -> None:
    """Fit the projections of both towers by least squares, before any training.

    The space is that of the sentence vectors of the text tower: the mean over all tokens,
    normalised. The text projection maps [CLS] to it; the projection of the picture tower's head
    maps pictures to the mean vector of their texts. Each of `sets` comes with templates for its
    captions; `texts` knows them all. `folder` keeps the features.
    """
    model = start.model
    features, targets, every = [], [], []
    for number, (views, templates) in enumerate(sets):
        path = folder / f"features-{number}.npy"
        tower = model.vision_model
        features.append(head_features(tower, start.preprocessor, views, path, progress))
        for some in phrases(views, templates):
            targets.append(_means(texts, some).mean(0))
            every += some
    once = list(dict.fromkeys(every))
    begun, wanted = torch.from_numpy(texts(once)).double(), _means(texts, once)
    seen = torch.cat([torch.from_numpy(rows.astype(np.float64)) for rows in features])
    with torch.no_grad():
        weight, bias = _ridge(begun, wanted, TEXT_PENALTY)
        model.text_projection.weight.copy_(weight)
        model.text_projection.bias.copy_(bias)
        weight, bias = _ridge(seen, torch.stack(targets), PICTURE_PENALTY)
        projection = model.vision_model.last_stage()[0].projection
        projection.project_conv.weight.copy_(weight[:, :, None, None])
        projection.project_bn.weight.fill_((1 + projection.project_bn.eps) ** 0.5)
        projection.project_bn.bias.copy_(bias)


def _means(texts: KeptTexts, some: Sequence[str]) -> Tensor:
    return F.normalize(torch.from_numpy(texts.means(some)).double(), dim=-1)


def _ridge(x: Tensor, y: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Weight (m, n) and bias (m,) of ridge regression from (k, n) to (k, m). The bias has no
    penalty."""
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = x - mean_x, y - mean_y
    square = x.T @ x
    square += penalty * square.diagonal().mean() * torch.eye(len(square), dtype=square.dtype)
    weight = torch.linalg.solve(square, x.T @ y).T
    return weight, mean_y - weight @ mean_x


def class_probabilities(
    classifier: Classifier,
    names: Sequence[str],
    views: DrawnViews,
    path: Path,
    progress: Progress = lambda what, done, count: None,
) -> Classes:
    """What a classifier says of pictures; their features are kept in `path`. `names` are those of
    its classes, in its order. EncoderError if there are not as many."""
    weight = classifier.weight
    if len(names) != len(weight):
        raise EncoderError(f"{len(names)} names for the {len(weight)} classes of the classifier")
    tower, preprocessor = classifier.tower, classifier.preprocessor
    features = head_features(tower, preprocessor, views, path, progress)
    logits = torch.from_numpy(features.astype(np.float32)) @ weight.T + classifier.bias
    return Classes(tuple(names), logits.softmax(-1).numpy())
