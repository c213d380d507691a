"""A model that trains in seconds, and its pictures; child processes can import them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from encoder import AlignConfig, AlignModel, Preprocessor, TextConfig, VisionConfig
from encoder.training import PairData, Start, TrainingSettings, train, train_tokenizer

CAPTIONS = [f"{colour} {kind}" for colour in ("red", "green", "blue") for kind in ("cat", "dog")]
TOKENIZER = train_tokenizer(CAPTIONS, vocab_size=200)
PREPROCESSOR = Preprocessor(size=(16, 16))
SETTINGS = TrainingSettings(
    steps=6, batch_size=4, warmup=2, save_every=2, learning_rate=3e-3, paraphrase_steps=3
)


class Blots:
    """`count` noisy pictures, each in a colour of its own."""

    def __init__(self, count: int = 12) -> None:
        self.count = count
        self.identity = f"{count} blots"

    def __len__(self) -> int:
        return self.count

    def caption(self, index: int, rng: np.random.Generator, progress: float) -> str:
        whole = CAPTIONS[index % 6]
        return whole if self.count == 6 or rng.random() < 0.5 else whole[:3]

    def view(self, index: int, caption: str, rng: np.random.Generator) -> np.ndarray:
        plain = np.full((16, 16, 3), (20 * index, 255 - 20 * index, 9), np.uint8)
        return plain ^ rng.integers(0, 64, plain.shape, np.uint8)


def tiny_model(seed: int = 0, dropout: float = 0.1) -> AlignModel:
    torch.manual_seed(seed)
    return AlignModel(
        AlignConfig(
            TextConfig(
                vocab_size=TOKENIZER.get_vocab_size(),
                hidden_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                intermediate_size=32,
                max_position_embeddings=16,
                hidden_dropout_prob=dropout,
                attention_probs_dropout_prob=dropout,
            ),
            VisionConfig(
                width_coefficient=0.25,
                depth_coefficient=1.0,
                kernel_sizes=(3, 3),
                in_channels=(32, 32),
                out_channels=(32, 64),
                strides=(1, 2),
                num_block_repeats=(2, 2),
                expand_ratios=(1, 2),
                drop_connect_rate=dropout,
            ),
            projection_dim=16,
            temperature_init_value=0.1,
        )
    )


def run(
    out: Path,
    settings: TrainingSettings = SETTINGS,
    *,
    model: AlignModel | None = None,
    data: PairData | None = None,
    **rest: Any,
) -> list[float]:
    """Train into `out`; returns the losses. Labelled pictures come from nine other blots."""
    losses: list[float] = []
    train(
        Start(model or tiny_model(), PREPROCESSOR, TOKENIZER.to_str()),
        data or Blots(),
        settings,
        out,
        **{
            "report": lambda step: losses.append(step.loss),
            "second": Blots(9) if settings.labelled else None,
            **rest,
        },
    )
    return losses
