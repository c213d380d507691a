"""Pictures and texts to embeddings: ALIGN in plain torch.

Names load on first use, so that importing this package loads neither torch nor tokenizers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from encoder.system import lacking as _lacking

if _sentence := _lacking():
    raise ImportError(_sentence, name=__name__)

if TYPE_CHECKING:
    from encoder.errors import (
        AlignError,
        CheckpointError,
        DatasetError,
        EncoderError,
        HubError,
        PassingPictureError,
        PictureError,
        TextError,
    )
    from encoder.fake import FakeEncoder
    from encoder.inference import AlignEncoder, load_encoder
    from encoder.model.align import AlignModel, AlignOutput, contrastive_loss
    from encoder.model.config import AlignConfig, TextConfig, VisionConfig
    from encoder.named import load_named_encoder
    from encoder.pictures.decoders import Decoded, Decoders
    from encoder.pictures.picture import Picture, read_picture
    from encoder.preprocess import Preprocessor
    from encoder.protocol import Embeddings, Encoder, Pixels
    from encoder.tokenizer import Tokenizer

_HOMES = {
    "model.align": ("AlignModel", "AlignOutput", "contrastive_loss"),
    "model.config": ("AlignConfig", "TextConfig", "VisionConfig"),
    "pictures.decoders": ("Decoded", "Decoders"),
    "errors": (
        "AlignError",
        "CheckpointError",
        "DatasetError",
        "EncoderError",
        "HubError",
        "PassingPictureError",
        "PictureError",
        "TextError",
    ),
    "fake": ("FakeEncoder",),
    "named": ("load_named_encoder",),
    "pictures.picture": ("Picture", "read_picture"),
    "inference": ("AlignEncoder", "load_encoder"),
    "preprocess": ("Preprocessor",),
    "protocol": ("Embeddings", "Encoder", "Pixels"),
    "tokenizer": ("Tokenizer",),
}

__all__ = [
    "AlignConfig",
    "AlignEncoder",
    "AlignError",
    "AlignModel",
    "AlignOutput",
    "CheckpointError",
    "DatasetError",
    "Decoded",
    "Decoders",
    "Embeddings",
    "Encoder",
    "EncoderError",
    "FakeEncoder",
    "HubError",
    "PassingPictureError",
    "Picture",
    "PictureError",
    "Pixels",
    "Preprocessor",
    "TextConfig",
    "TextError",
    "Tokenizer",
    "VisionConfig",
    "contrastive_loss",
    "load_encoder",
    "load_named_encoder",
    "read_picture",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"encoder.{module}"), name)
    raise AttributeError(f"module 'encoder' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
