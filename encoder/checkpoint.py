"""A checkpoint directory in the Hugging Face layout: find it, and read what is small in it.

config.json  preprocessor_config.json  tokenizer.json (or vocab.txt)  model.safetensors

The weights stay on the disk until a tower is needed; `encoder.towers` reads them. Importing this
loads no torch.
"""

import hashlib
import json
import math
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from encoder.bundled import BUNDLED
from encoder.errors import CheckpointError
from encoder.hub import NEEDED, fetch
from encoder.model.config import AlignConfig
from encoder.pictures.picture import READING_RULES
from encoder.preprocess import Preprocessor
from encoder.remembered import recall, remember
from encoder.tokenizer import MAX_TOKENS, Tokenizer
from encoder.weights import WEIGHTS, Weights

if TYPE_CHECKING:
    from encoder.model.align import AlignModel


_SETTLED = 2.0
"""Seconds after which no file system gives another change the same time."""


@dataclass(frozen=True)
class Checkpoint:
    """What a folder holds; its weights were checked against its config."""

    config: AlignConfig
    preprocessor: Preprocessor
    tokenizer: Tokenizer
    weights: Weights
    temperature: float
    """Above 0."""
    fingerprint: str
    """32 hex digits. They change exactly with what changes embeddings: the weights that are used,
    whatever files and float types hold them, the settings that have an effect, what decides the
    tokens of a text, and the rules by which pictures are read."""

    @cached_property
    def model(self) -> "AlignModel":
        """Both towers, on the CPU, float32, in evaluation mode."""
        from encoder.towers import read_model

        return read_model(self.config, self.weights)

    def is_known_as(self, fingerprint: str) -> bool:
        """Whether `fingerprint` is of this checkpoint, by today's rule or by that of version 0.1,
        which libraries still hold."""
        return fingerprint == self.fingerprint or fingerprint == self._former_fingerprint

    @cached_property
    def _former_fingerprint(self) -> str | None:
        if len(self.weights.files) > 1:
            return None
        with open(self.weights.files[0], "rb") as file:
            digest = hashlib.sha256(hashlib.file_digest(file, "sha256").digest())
        for part in (asdict(self.config), asdict(self.preprocessor), READING_RULES):
            digest.update(json.dumps(part, sort_keys=True).encode())
        digest.update(self.tokenizer.former_identity())
        return digest.hexdigest()[:32]


def find(name_or_path: str, revision: str | None = None) -> tuple[Path, str | None]:
    """The directory of a bundled name, a local path or a hub id, and the hub's commit if any.

    Files that are on this machine are used without asking the network. Raises HubError if a hub id
    is neither here nor reachable, CheckpointError if a path does not exist.
    """
    if name_or_path in BUNDLED:
        return BUNDLED[name_or_path], None
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return path, None
    if path.is_absolute() or name_or_path.startswith((".", "~")) or name_or_path.count("/") != 1:
        first = ", ".join(names[0] for names in NEEDED)
        raise CheckpointError(
            f"{name_or_path} is not a checkpoint: give {' or '.join(BUNDLED)}, a hub id such as"
            f" kakaobrain/align-base, or a folder with {first} and {WEIGHTS}"
        )
    return fetch(name_or_path, revision)


def load(directory: Path) -> Checkpoint:
    """Read a checkpoint; CheckpointError names the file, parameter or size that is wrong."""
    if not (directory / "config.json").is_file():
        raise CheckpointError(f"{directory} is not a checkpoint: it has no config.json")
    preprocessor = Preprocessor.of(directory)
    weights = Weights.of(directory)
    config = AlignConfig.read(directory / "config.json")
    text = config.text_config
    tokenizer = Tokenizer(directory, min(MAX_TOKENS, text.max_position_embeddings))
    if tokenizer.vocab_size > text.vocab_size:
        raise CheckpointError(
            f"{directory}: the tokenizer has {tokenizer.vocab_size} entries, but the model's"
            f" vocab_size is {text.vocab_size}: they belong to different checkpoints"
        )
    if preprocessor.shape is not None:
        config.vision_config.require_room(*preprocessor.shape[:2])
    digest, temperature = _checked(config, weights)
    if not 0 < temperature < math.inf:
        raise CheckpointError(
            f"{directory}: the temperature is {temperature}, which must be above 0: cosines are"
            " divided by it; the weights are damaged, or training has failed"
        )
    parts = [digest, config.identity(), preprocessor.identity(), READING_RULES]
    whole = hashlib.sha256(json.dumps(parts, sort_keys=True).encode() + tokenizer.identity())
    return Checkpoint(config, preprocessor, tokenizer, weights, temperature, whole.hexdigest()[:32])


def _checked(config: AlignConfig, weights: Weights) -> tuple[str, float]:
    """A digest of the weights and the temperature; whether they fit `config` is checked once for
    files of one size and time."""
    key = (weights.stamp, config.to_dict())
    with suppress(TypeError, ValueError):
        digest, temperature = recall(*key)
        return str(digest), float(temperature)
    from encoder.towers import check

    found = check(config, weights)
    if max(when for _, _, when in weights.stamp) < time.time_ns() - _SETTLED * 1e9:
        remember(found, *key)
    return found
