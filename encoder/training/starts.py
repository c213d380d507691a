"""The start of a training run: a checkpoint, or new weights in one of two sizes."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import tokenizers
import torch
from PIL import Image

from encoder.checkpoint import find, load
from encoder.durable import write_whole
from encoder.errors import EncoderError
from encoder.model.align import AlignModel
from encoder.model.config import AlignConfig, TextConfig, VisionConfig
from encoder.preprocess import Preprocessor
from encoder.tokenizer import MAX_TOKENS, Tokenizer
from encoder.training.vocabulary import train_tokenizer

Preset = Literal["mini", "base"]

PIECES = {"mini": 4096, "base": 30522}
"""The largest vocabulary; the text tower's embedding grows with it."""

LARGE = 20_000_000
"""A model with this many parameters or more is too large for a whole batch at once."""
AT_ONCE = 8
"""Pictures at once for a large model: at align-base's size each takes 0.9 GB."""

MINI_PREPROCESSOR = Preprocessor(
    size=(112, 112),
    resample=Image.Resampling.BILINEAR,
    rescale_factor=1 / 127.5,
    rescale_offset=True,
    do_normalize=False,
    include_top=False,
)
"""Align-base's preprocessing (to [-1, 1], no mean and deviation) at 112 pixels, without a crop."""

BASE_PREPROCESSOR = replace(
    MINI_PREPROCESSOR, size=(346, 346), do_center_crop=True, crop_size=(289, 289)
)


@dataclass(frozen=True)
class Start:
    """A model to train, and the other parts of its checkpoint."""

    model: AlignModel
    preprocessor: Preprocessor
    tokenizer_json: str
    """The serialised `tokenizers.Tokenizer`."""

    def identity(self) -> str:
        """SHA-256 of weights, sizes and preprocessing, a hex string."""
        parts = [asdict(self.model.config), asdict(self.preprocessor)]
        digest = hashlib.sha256(json.dumps(parts).encode())
        for name, tensor in self.model.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy())
        return digest.hexdigest()

    def tokenizer(self) -> Tokenizer:
        """The tokenizer, cutting texts to what the model takes."""
        longest = self.model.config.text_config.max_position_embeddings
        return Tokenizer.from_json(self.tokenizer_json, min(MAX_TOKENS, longest))

    def micro_batch(self, share: int) -> int | None:
        """The default of `TrainingSettings.micro_batch`, in a process with `share` pictures in each
        step."""
        if sum(parameter.numel() for parameter in self.model.parameters()) < LARGE:
            return None
        return max(size for size in range(1, AT_ONCE + 1) if share % size == 0)


def from_checkpoint(name_or_path: str) -> Start:
    """A bundled model, a folder or a hub id, with its vocabulary and preprocessing. Raises what
    `encoder.load_encoder` raises."""
    checkpoint = load(find(name_or_path)[0])
    return Start(checkpoint.model, checkpoint.preprocessor, checkpoint.tokenizer.json)


def from_scratch(
    captions: Iterable[str],
    vocabularies: Path,
    preset: Preset = "mini",
    image_size: int | None = None,
    seed: int = 0,
) -> Start:
    """New weights in the sizes of align-mini or align-base, for square pictures of `image_size`
    pixels (by default 112 or 289), and a vocabulary that is learned from `captions`. The folder
    `vocabularies` keeps it for the next run with the same captions."""
    texts = list(captions)
    learned_from = json.dumps([PIECES[preset], texts]).encode()
    vocabulary = vocabularies / f"vocabulary-{hashlib.sha256(learned_from).hexdigest()[:16]}.json"
    if not vocabulary.exists():
        learned = train_tokenizer(texts, PIECES[preset]).to_str()
        with write_whole(vocabulary) as file:
            file.write(learned.encode())
    tokenizer = tokenizers.Tokenizer.from_file(str(vocabulary))
    size = tokenizer.get_vocab_size()
    config, preprocessor = {
        "mini": (mini_config(size), MINI_PREPROCESSOR),
        "base": (base_config(size), BASE_PREPROCESSOR),
    }[preset]
    if image_size is not None:
        config = replace(config, vision_config=replace(config.vision_config, image_size=image_size))
        preprocessor = _sized(preprocessor, image_size)
    torch.manual_seed(seed)
    return Start(AlignModel(config), preprocessor, tokenizer.to_str())


def _sized(preprocessor: Preprocessor, side: int) -> Preprocessor:
    if side < 16:
        raise EncoderError(f"pictures of {side} pixels are too small: give --image-size 16 or more")
    if not preprocessor.do_center_crop:
        return replace(preprocessor, size=(side, side))
    whole = round(side * preprocessor.size[0] / preprocessor.crop_size[0])
    return replace(preprocessor, size=(whole, whole), crop_size=(side, side))


def mini_config(vocab_size: int) -> AlignConfig:
    """The sizes of align-mini: about 3 million parameters, half of them in each tower."""
    return AlignConfig(
        text_config=TextConfig(
            vocab_size=vocab_size,
            hidden_size=192,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=768,
            max_position_embeddings=64,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        ),
        vision_config=VisionConfig(
            image_size=112,
            width_coefficient=1.0,
            depth_coefficient=1.0,
            kernel_sizes=(3, 3, 5, 3),
            in_channels=(32, 32, 64, 128),
            out_channels=(32, 64, 128, 256),
            strides=(2, 2, 2, 1),
            num_block_repeats=(2, 3, 4, 2),
            expand_ratios=(1, 4, 4, 4),
            hidden_dim=256,
            batch_norm_momentum=0.95,
            drop_connect_rate=0.0,
        ),
        projection_dim=256,
        temperature_init_value=0.07,
    )


def base_config(vocab_size: int) -> AlignConfig:
    """The sizes of align-base with another vocabulary, and a temperature to start from."""
    return AlignConfig(
        text_config=TextConfig(vocab_size=vocab_size),
        vision_config=VisionConfig(image_size=289, hidden_dim=640),
        temperature_init_value=0.07,
    )
