"""The checkpoints that come with the package, and what is known about them beside their weights."""

import json
from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent / "checkpoints"

BUNDLED = {name: _FOLDER / name for name in ("align-small", "align-mini")}


@dataclass(frozen=True)
class Facts:
    """What ``facts.json`` in the folder of a checkpoint says; None is unknown."""

    near_duplicate: float | None = None
    """The cosine from which two pictures are copies of one, as they were measured."""
    token_ids: list[list[int]] | None = None
    """Of the texts of `encoder.proof`."""
    logits: list[float] | None = None
    """Of these texts for the picture of `encoder.proof`, as transformers computes them."""
    knows_only: str | None = None
    """What its pictures must be, if they cannot be photographs."""


def facts(name: str) -> Facts:
    """What is known about a bundled model or one in a folder, by its name. Loads no weights."""
    path = BUNDLED.get(name, Path(name)) / "facts.json"
    return Facts(**json.loads(path.read_text("utf-8"))) if path.is_file() else Facts()
