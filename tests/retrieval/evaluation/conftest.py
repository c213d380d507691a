"""Child processes that serve all evaluations of a session."""

from collections.abc import Iterator

import pytest

from encoder import Decoders


class Kept(Decoders):
    """Stays open when an evaluation ends."""

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def kept() -> Iterator[Kept]:
    made = Kept()
    yield made
    Decoders.close(made)


@pytest.fixture(autouse=True)
def decoders_stay(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dozens of small evaluations would each wait for new processes."""
    for module in ("retrieval.evaluation.embedding", "encoder.datasets.decoding"):
        monkeypatch.setattr(f"{module}.Decoders", lambda: kept)
