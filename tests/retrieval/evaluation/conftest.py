"""Decoder processes that serve all evaluations of a test session."""

from collections.abc import Iterator

import pytest

from encoder import Decoders


class Kept(Decoders):
    """Decoders that stay open when an evaluation ends."""

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def kept() -> Iterator[Kept]:
    made = Kept()
    yield made
    Decoders.close(made)


@pytest.fixture(autouse=True)
def decoders_stay(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Share one set of processes. Dozens of small evaluations need not wait for new ones."""
    for module in ("retrieval.evaluation.embedding", "encoder.datasets.decoding"):
        monkeypatch.setattr(f"{module}.Decoders", lambda: kept)
