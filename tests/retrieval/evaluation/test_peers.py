"""Our recall equals what the field's own programs compute from the same vectors."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from clip_benchmark.metrics import zeroshot_retrieval
from torchmetrics.retrieval import RetrievalHitRate

from encoder import load_encoder
from encoder.datasets import drawn_scenes
from retrieval.evaluation import ranks, recall

KS = [1, 5, 10]


def random_vectors() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """60 images, and for each of them 4 to 6 texts that lie near it."""
    rng = np.random.default_rng(3)
    images = rng.normal(size=(60, 24))
    owner = np.repeat(np.arange(60), rng.integers(4, 7, 60))
    texts = images[owner] + 1.5 * rng.normal(size=(len(owner), 24))
    return _unit(images), _unit(texts), owner


def real_vectors() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embeddings of 60 scenes by align-mini. The shortest captions fit several scenes."""
    mini = load_encoder("align-mini", "cpu")
    examples = drawn_scenes(60).examples
    images = mini.encode_images([mini.prepare(e.picture.open()) for e in examples])
    texts = mini.encode_texts(list(dict.fromkeys(c for e in examples for c in e.captions)))
    first = {c: i for i, e in reversed(list(enumerate(examples))) for c in e.captions}
    owner = [first[c] for c in dict.fromkeys(c for e in examples for c in e.captions)]
    return images, texts, np.array(owner)


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module", params=[random_vectors, real_vectors], ids=["random", "real"])
def vectors(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    make: Callable[[], tuple[np.ndarray, np.ndarray, np.ndarray]] = request.param
    return make()


def ours(vectors: tuple[np.ndarray, np.ndarray, np.ndarray]) -> dict[str, float]:
    images, texts, owner = vectors
    of_texts = ranks(texts, images, owner, np.arange(len(images)))
    of_images = ranks(images, texts, np.arange(len(images)), owner)
    assert 0.1 < recall(of_texts, 1) < 0.95  # a recall of 0 or 1 would compare nothing
    return {
        **{f"image_retrieval_recall@{k}": recall(of_texts, k) for k in KS},
        **{f"text_retrieval_recall@{k}": recall(of_images, k) for k in KS},
    }


def test_clip_benchmark(vectors: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    images, texts, owner = vectors

    class Vectors:
        """A model that takes row numbers as pictures and as tokens."""

        @staticmethod
        def encode_image(numbers: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(images)[numbers]

        @staticmethod
        def encode_text(numbers: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(texts)[numbers]

    batches = [
        (
            torch.arange(start, start + 20),
            [np.flatnonzero(owner == i) for i in range(start, start + 20)],
        )
        for start in range(0, len(images), 20)
    ]
    theirs = zeroshot_retrieval.evaluate(
        Vectors, batches, lambda rows: torch.tensor(rows), "cpu", amp=False, recall_k_list=KS
    )
    assert ours(vectors) == pytest.approx(theirs, abs=1e-6)


def test_torchmetrics(vectors: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    images, texts, owner = vectors
    scores = torch.from_numpy(texts) @ torch.from_numpy(images).T
    right = torch.from_numpy(owner)[:, None] == torch.arange(len(images))
    theirs = {}
    for k in KS:
        for name, s, r in (("image", scores, right), ("text", scores.T, right.T)):
            query = torch.arange(len(s))[:, None].expand(s.shape)
            rate = RetrievalHitRate(top_k=k)(s.flatten(), r.flatten(), indexes=query.flatten())
            theirs[f"{name}_retrieval_recall@{k}"] = float(rate)
    assert ours(vectors) == pytest.approx(theirs, abs=1e-6)
