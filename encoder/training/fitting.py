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
from encoder.training.kept import Progress, Rows, head_features, sentence_vectors
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
    folder: Path,
    progress: Progress = lambda what, done, count: None,
) -> list[Rows]:
    """Fit the projections of both towers by least squares, before any training, and return the
    features of the pictures of each set, (n, c).

    The space is that of the sentence vectors of the text tower: the mean over all tokens,
    normalised. The text projection maps [CLS] to it; the projection of the picture tower's head
    maps pictures to the mean vector of their texts. Each of `sets` comes with templates for its
    captions. `folder` keeps features and vectors.
    """
    model = start.model
    features, targets, vectors = [], [], []
    for number, (views, templates) in enumerate(sets):
        features.append(head_features(start, views, folder / f"features-{number}.npy", progress))
        texts = [
            [template.replace("{}", caption) for template in templates for caption in e.captions]
            for e in views.examples
        ]
        flat = list(dict.fromkeys(text for some in texts for text in some))
        places = {text: i for i, text in enumerate(flat)}
        rows = sentence_vectors(start, flat, folder / f"sentences-{number}.npy", progress)
        both = torch.from_numpy(rows.astype(np.float64))  # (texts, 2, d)
        means = F.normalize(both[:, 1], dim=-1)
        vectors.append((both[:, 0], means))
        targets.append(torch.stack([means[[places[t] for t in some]].mean(0) for some in texts]))
    begun, wanted = (torch.cat([pair[i] for pair in vectors]) for i in (0, 1))
    seen = torch.cat([torch.from_numpy(rows.astype(np.float64)) for rows in features])
    with torch.no_grad():
        weight, bias = _ridge(begun, wanted, TEXT_PENALTY)
        model.text_projection.weight.copy_(weight)
        model.text_projection.bias.copy_(bias)
        weight, bias = _ridge(seen, torch.cat(targets), PICTURE_PENALTY)
        projection = model.vision_model.last_stage()[0].projection
        projection.project_conv.weight.copy_(weight[:, :, None, None])
        projection.project_bn.weight.fill_((1 + projection.project_bn.eps) ** 0.5)
        projection.project_bn.bias.copy_(bias)
    return features


def _ridge(x: Tensor, y: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Weight (m, n) and bias (m,) of ridge regression from (k, n) to (k, m). The bias has no
    penalty."""
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = x - mean_x, y - mean_y
    square = x.T @ x
    square += penalty * square.diagonal().mean() * torch.eye(len(square), dtype=square.dtype)
    weight = torch.linalg.solve(square, x.T @ y).T
    return weight, mean_y - weight @ mean_x


def class_probabilities(start: Start, features: Rows, names: Sequence[str]) -> Classes:
    """What the classifier that came with the picture tower says of pictures with these `features`.
    `names` are those of its classes, in its order. EncoderError if there are not as many."""
    if start.classifier is None:
        raise EncoderError("the picture tower has no classifier: its file holds no _fc.weight")
    weight, bias = start.classifier
    if len(names) != len(weight):
        raise EncoderError(f"{len(names)} names for the {len(weight)} classes of the picture tower")
    logits = torch.from_numpy(features.astype(np.float32)) @ weight.T + bias
    return Classes(tuple(names), logits.softmax(-1).numpy())
