"""Small models that react to their input, drawn pictures, and folders of checkpoints."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer
from torch import Tensor, nn

from encoder.model.align import AlignModel
from encoder.model.config import AlignConfig, TextConfig, VisionConfig
from encoder.preprocess import Preprocessor
from encoder.towers import save

ALIGN_BASE = Preprocessor(
    size=(346, 346),
    resample=Image.Resampling.BILINEAR,
    do_center_crop=True,
    crop_size=(289, 289),
    rescale_factor=1 / 127.5,
    rescale_offset=True,
    do_normalize=False,
    include_top=False,
)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """More threads gain nothing for small tensors, and lose much if the other cores are busy."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def align_base() -> Preprocessor:
    """The preprocessor of the published `preprocessor_config.json`."""
    return ALIGN_BASE


@pytest.fixture(scope="session")
def pictures() -> list[Image.Image]:
    """Six RGB pictures with gradients, shapes and noise, as different as photographs. Their sizes
    are odd and even, some wide and some tall."""
    sizes = [(400, 300), (301, 401), (289, 289), (640, 127), (97, 331), (346, 347)]
    return [draw_picture(seed, size) for seed, size in enumerate(sizes)]


def draw_picture(seed: int, size: tuple[int, int]) -> Image.Image:
    rng = np.random.default_rng(seed)
    width, height = size
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    planes = [128 + rng.uniform(-90, 90) * x + rng.uniform(-90, 90) * y for _ in range(3)]
    noise = rng.normal(0, 12, (height, width, 3))
    picture = Image.fromarray(np.clip(np.stack(planes, -1) + noise, 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for _ in range(12):
        x0, y0 = rng.integers(0, width), rng.integers(0, height)
        box = (x0, y0, x0 + rng.integers(2, width // 2), y0 + rng.integers(2, height // 2))
        shape = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        shape([int(v) for v in box], fill=tuple(int(v) for v in rng.integers(0, 256, 3)))
    return picture


@pytest.fixture(scope="session")
def tiny() -> Callable[..., AlignConfig]:
    """A small config; `text` and `vision` replace fields of the towers."""
    return tiny_config


def tiny_config(
    text: dict[str, Any] | None = None, vision: dict[str, Any] | None = None
) -> AlignConfig:
    text_config = TextConfig(
        **{
            "vocab_size": 160,
            "hidden_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 3,
            "intermediate_size": 40,
            "max_position_embeddings": 64,
            **(text or {}),
        }
    )
    vision_config = VisionConfig(
        **{
            "image_size": 65,
            "width_coefficient": 0.25,
            "depth_coefficient": 1.0,
            "kernel_sizes": (3, 5, 3),
            "in_channels": (32, 48, 80),
            "out_channels": (48, 80, 96),
            "strides": (1, 2, 2),
            "num_block_repeats": (1, 2, 2),
            "expand_ratios": (1, 4, 4),
            **(vision or {}),
        }
    )
    return AlignConfig(
        text_config=text_config,
        vision_config=vision_config,
        projection_dim=vision_config.embedding_size,
        temperature_init_value=0.07,
    )


@pytest.fixture(scope="session")
def enliven() -> Callable[[AlignModel, Tensor], AlignModel]:
    """Random weights with which a model reacts to its input; with plain ones it hardly does."""
    return enliven_model


def enliven_model(model: AlignModel, pixels: Tensor, seed: int = 0) -> AlignModel:
    torch.manual_seed(seed)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_in")
                if module.bias is not None:
                    nn.init.normal_(module.bias, std=0.2)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight)
            elif isinstance(module, nn.LayerNorm):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.2)
        model.eval()
        for norm in norms:  # the statistics of these pictures: the mean over one batch
            nn.init.uniform_(norm.weight, 0.5, 1.0)
            nn.init.normal_(norm.bias, std=0.2)
            norm.reset_running_stats()
            norm.momentum = None
            norm.train()
        blocks: Any = model.vision_model.encoder.blocks
        for block in blocks:
            if block.dropout is not None:  # small steps, or a deep tower is chaotic
                block.projection.project_bn.weight *= 0.3
        model.get_image_features(pixels)
        model.eval()
        # Remove what all pictures, or all texts, have in common: embeddings lie around the origin.
        last = blocks[-1].projection.project_bn
        last.bias -= model.get_image_features(pixels).mean(0)
        ids = torch.randint(1, model.config.text_config.vocab_size, (16, 12))
        model.text_projection.bias.sub_(model.get_text_features(ids).mean(0))
    return model.eval()


VOCABULARY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *"abcdefghijklmnopqrstuvwxyz0123456789.,!?'-",
    *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz0123456789"),
    *("a", "the", "photo", "of", "cat", "dog", "beach", "on", "##s", "##ing", "walk", "你")[1:],
    "cafe",
]
WORDS = list(dict.fromkeys(VOCABULARY))


@pytest.fixture(scope="session")
def words() -> list[str]:
    """A vocabulary of letters, digits and a few words."""
    return WORDS


@pytest.fixture(scope="session")
def tokenizer_json(words: list[str]) -> str:
    """The same vocabulary as a serialised tokenizer."""
    vocab = {word: i for i, word in enumerate(words)}
    return str(BertWordPieceTokenizer(vocab, lowercase=True).to_str())


@pytest.fixture(scope="session")
def to_pixels() -> Callable[[list[Image.Image], int], Tensor]:
    """Pictures to (b, 3, size, size), in [-1, 1]."""

    def prepare(pictures: list[Image.Image], size: int) -> Tensor:
        made = Preprocessor(
            size=(size, size),
            resample=Image.Resampling.BILINEAR,
            rescale_factor=1 / 127.5,
            rescale_offset=True,
            do_normalize=False,
            include_top=False,
        )
        pixels = np.stack([made.prepare(picture) for picture in pictures])
        return torch.from_numpy(made.to_floats(pixels)).contiguous()

    return prepare


@pytest.fixture(scope="session")
def saved(
    tmp_path_factory: pytest.TempPathFactory,
    pictures: list[Image.Image],
    to_pixels: Callable[[list[Image.Image], int], Tensor],
    tokenizer_json: str,
) -> Path:
    """A small checkpoint that `save` wrote; tests must not change it."""
    directory = tmp_path_factory.mktemp("checkpoint")
    model = enliven_model(AlignModel(tiny_config()), to_pixels(pictures, 96))
    preprocessor = Preprocessor(
        size=(80, 80),
        resample=Image.Resampling.BILINEAR,
        do_center_crop=True,
        crop_size=(65, 65),
        rescale_factor=1 / 127.5,
        rescale_offset=True,
        do_normalize=False,
        include_top=False,
    )
    save(directory, model, preprocessor, tokenizer_json)
    return directory


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy of the small checkpoint, which tests may change."""
    return Path(shutil.copytree(saved, tmp_path / "model"))
