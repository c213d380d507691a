"""Train a small ALIGN model from nothing on drawn scenes: how the bundled align-mini was made."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from PIL import Image

from encoder.align import AlignModel
from encoder.config import AlignConfig, TextConfig, VisionConfig
from encoder.inference import AlignEncoder
from encoder.preprocess import Preprocessor
from encoder.training.data import SceneData
from encoder.training.loop import Step, TrainingSettings, claim, train
from encoder.training.vocabulary import train_tokenizer

MINI_PREPROCESSOR = Preprocessor(
    size=(112, 112),
    resample=Image.Resampling.BILINEAR,
    rescale_factor=1 / 127.5,
    rescale_offset=True,
    do_normalize=False,
    include_top=False,
)
"""Align-base's preprocessing (to [-1, 1], no mean and deviation) at 112 pixels, nothing cropped."""


def mini_config(vocab_size: int) -> AlignConfig:
    """The sizes of align-mini: about 3 million parameters, half of them in either tower."""
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


def train_scenes(
    out: Path,
    settings: TrainingSettings,
    pictures: int,
    *,
    evaluate: Callable[[AlignEncoder], Mapping[str, float]],
    report: Callable[[Step], None],
    drawn: Callable[[int], None],
    device: torch.device | None = None,
) -> None:
    """Draw `pictures` scenes, learn a vocabulary from their captions and train into `out`, with
    weights stored as float16. `drawn` is told how many more are ready; the rest as in `train`."""
    claim(out)
    data = SceneData(
        pictures, MINI_PREPROCESSOR, out / "training" / f"pictures-{pictures}.npy", advance=drawn
    )
    tokenizer = train_tokenizer(data.all_captions())
    torch.manual_seed(settings.seed)
    train(
        AlignModel(mini_config(tokenizer.get_vocab_size())),
        MINI_PREPROCESSOR,
        tokenizer.to_str(),
        data,
        settings,
        out,
        evaluate=evaluate,
        report=report,
        device=device,
        stored_as=torch.float16,
    )
