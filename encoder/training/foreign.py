"""Start from towers that others trained: EfficientNet-Lite for pictures and BERT for texts.

Both fit ALIGN's architecture. EfficientNet-Lite (github.com/tensorflow/tpu, efficientnet/lite) has
no squeeze-and-excite, and in its place the activation relu6; a gate that is always open stands for
the former. Its head, a convolution to 1,280 channels, is the expansion of one more stage, whose
depthwise filters begin as the identity.
"""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from safetensors.torch import load
from tokenizers import Tokenizer
from torch import Tensor, nn

from encoder.errors import CheckpointError
from encoder.model.align import AlignModel
from encoder.model.config import AlignConfig, VisionConfig
from encoder.model.efficientnet import EfficientNet, SqueezeExcite
from encoder.preprocess import Preprocessor
from encoder.tokenizer import MAX_TOKENS
from encoder.training.starts import Start
from encoder.training.vocabulary import latin, pieces, wordpiece

OPEN = 20.0
"""The bias of a gate that is always open: its sigmoid is 1 - 2e-9."""

_STRIDES = (1, 2, 2, 2, 1, 2, 1)
"""Of the stages of every EfficientNet (arXiv 1905.11946, table 1)."""
_HEAD_KERNEL = 3
_SPARE_DIM = 8
"""Width of projections that nobody uses."""
_IN_BLOCKS = {
    "_expand_conv": "expansion.expand_conv",
    "_bn0": "expansion.expand_bn",
    "_depthwise_conv": "depthwise_conv.depthwise_conv",
    "_bn1": "depthwise_conv.depthwise_norm",
    "_project_conv": "projection.project_conv",
    "_bn2": "projection.project_bn",
}

LITE_PREPROCESSOR = Preprocessor(
    size=(224, 224),
    resample=Image.Resampling.BICUBIC,
    image_mean=(127 / 255,) * 3,
    image_std=(128 / 255,) * 3,
    include_top=False,
)
"""Pixels become (x - 127) / 128, as EfficientNet-Lite was trained."""


def from_towers(image: Path, text: Path, *, image_size: int = 224, seed: int = 0) -> Start:
    """A model of both towers, with new projections into a space as wide as the text tower.

    `image` is a file of weights of EfficientNet-Lite, with the names of EfficientNet-PyTorch
    (``_conv_stem.weight`` and so on). `text` is a folder or a zip file with the ``config.json``,
    ``tokenizer.json`` and ``model.safetensors`` of a BERT. Of its vocabulary the pieces in Latin
    letters are kept, of its positions the first 64. The picture tower ends in two blocks: the head,
    and one that begins as the identity. Raises CheckpointError for files that hold something else.
    """
    pictures, words = _weights(image), _Bert(text)
    dim = words.config.hidden_size
    if dim % 8:
        raise CheckpointError(f"{text} is {dim} numbers wide: a multiple of 8 is needed")
    torch.manual_seed(seed)
    vision = _vision_config(image, pictures, dim, image_size)
    config = AlignConfig(words.config, vision, projection_dim=dim, temperature_init_value=0.05)
    model = AlignModel(config)
    _fill_pictures(image, pictures, model.vision_model)
    _fill(text, model.text_model, words.state)
    preprocessor = replace(LITE_PREPROCESSOR, size=(image_size, image_size))
    return Start(model, preprocessor, words.tokenizer.to_str())


@dataclass(frozen=True)
class Classifier:
    """An EfficientNet-Lite as it was published."""

    tower: EfficientNet
    """`EfficientNet.widened` gives what the classes are told from."""
    preprocessor: Preprocessor
    weight: Tensor
    """(classes, c)."""
    bias: Tensor
    """(classes,)."""


def read_classifier(path: Path, image_size: int = 224) -> Classifier:
    """A file of weights as `from_towers` reads it. Raises CheckpointError for another file."""
    weights = _weights(path)
    if "_fc.weight" not in weights or "_fc.bias" not in weights:
        raise CheckpointError(f"{path} has no classifier: it lacks _fc.weight or _fc.bias")
    tower = EfficientNet(_vision_config(path, weights, _SPARE_DIM, image_size))
    _fill_pictures(path, weights, tower)
    preprocessor = replace(LITE_PREPROCESSOR, size=(image_size, image_size))
    return Classifier(tower, preprocessor, weights["_fc.weight"], weights["_fc.bias"])


def _weights(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            found = load(path.read_bytes())
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:  # whatever a pickle that is none may raise
        raise CheckpointError(
            f"{path} is no file of weights: name a .pth or .safetensors file"
        ) from error
    if not isinstance(found, Mapping) or "_conv_stem.weight" not in found:
        raise CheckpointError(f"{path} is no EfficientNet: it has no _conv_stem.weight")
    return dict(found)


def _vision_config(
    path: Path, weights: Mapping[str, Tensor], dim: int, image_size: int
) -> VisionConfig:
    """The sizes of an EfficientNet-Lite and of the stage that its head becomes."""
    try:
        return _sizes(path, weights, dim, image_size)
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path} is no whole EfficientNet: {error}") from error


def _sizes(path: Path, weights: Mapping[str, Tensor], dim: int, image_size: int) -> VisionConfig:
    blocks = [_shape(weights, number) for number in range(_count(weights))]
    stages = [list(group) for _, group in groupby(blocks, key=lambda block: block.out)]
    if len(stages) != len(_STRIDES) or any("_se_" in name for name in weights):
        raise CheckpointError(f"{path} is no EfficientNet-Lite: give one of lite0 to lite4")
    first = [stage[0] for stage in stages]
    head, inner = weights["_conv_head.weight"].shape[:2]
    return VisionConfig(
        image_size=image_size,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        kernel_sizes=(*(block.kernel for block in first), _HEAD_KERNEL),
        in_channels=(*(block.inner for block in first), inner),
        out_channels=(*(block.out for block in first), dim),
        strides=(*_STRIDES, 1),
        num_block_repeats=(*map(len, stages), 2),
        expand_ratios=(*(block.ratio for block in first), head // inner),
        squeeze_expansion_ratio=0.0,
        hidden_act="relu6",
        hidden_dim=dim,
        drop_connect_rate=0.0,
    )


def _count(weights: Mapping[str, Tensor]) -> int:
    return 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("_blocks."))


class _Shape(NamedTuple):
    """Sizes of one block: channels before and after it, kernel, expansion."""

    inner: int
    out: int
    kernel: int
    ratio: int


def _shape(weights: Mapping[str, Tensor], number: int) -> _Shape:
    out, wide = weights[f"_blocks.{number}._project_conv.weight"].shape[:2]
    expand = weights.get(f"_blocks.{number}._expand_conv.weight")
    narrow = wide if expand is None else expand.shape[1]
    kernel = weights[f"_blocks.{number}._depthwise_conv.weight"].shape[-1]
    return _Shape(narrow, out, kernel, wide // narrow)


def _fill_pictures(path: Path, weights: Mapping[str, Tensor], tower: EfficientNet) -> None:
    """Load these weights. The gates are open. Of the last two blocks, the first passes the head on,
    and the second does nothing yet. Their projections are new."""
    head = _count(weights)
    known = ((_ours(name, head), tensor) for name, tensor in weights.items())
    new = (".squeeze_excite.", f".{head}.depthwise", f".{head}.projection", f".{head + 1}.")
    _fill(path, tower, {name: tensor for name, tensor in known if name}, new)
    with torch.no_grad():
        for module in tower.modules():
            if isinstance(module, SqueezeExcite):
                for name, parameter in module.named_parameters():
                    parameter.fill_(OPEN if name == "expand.bias" else 0)
        first, second = tower.last_stage()
        filters, norm = first.depthwise_conv.depthwise_conv, first.depthwise_conv.depthwise_norm
        nn.init.dirac_(filters.weight, groups=filters.groups)
        norm.weight.fill_((1 + norm.eps) ** 0.5)
        second.projection.project_bn.weight.zero_()


def _ours(name: str, head: int) -> str | None:
    """The name in our picture tower of a weight of EfficientNet-Lite with this number of blocks;
    None for the classifier and for counters."""
    *owner, part = name.split(".")
    if owner[0] == "_fc" or part == "num_batches_tracked":
        return None
    if owner[0] == "_blocks":
        inside = (_IN_BLOCKS.get(module, module) for module in owner[2:])
        return ".".join(("encoder.blocks", owner[1], *inside, part))
    last = f"encoder.blocks.{head}.expansion"
    names = {
        "_conv_stem": "embeddings.convolution",
        "_bn0": "embeddings.batchnorm",
        "_conv_head": f"{last}.expand_conv",
        "_bn1": f"{last}.expand_bn",
    }
    return f"{names.get(owner[0], owner[0])}.{part}"


def _fill(
    path: Path, tower: nn.Module, state: Mapping[str, Tensor], new: Sequence[str] = ()
) -> None:
    """Load the weights of a tower. Weights whose names hold one of `new` may lack. Raises
    CheckpointError if another one lacks, or if the tower has no place for one of this shape."""
    own = tower.state_dict()
    for name in own.keys() - state.keys():
        if not name.endswith("num_batches_tracked") and not any(part in name for part in new):
            raise CheckpointError(f"{path} lacks {name}")
    for name, tensor in state.items():
        if name not in own or own[name].shape != tensor.shape:
            raise CheckpointError(f"{path}: {name} {tuple(tensor.shape)} has no place in the model")
    tower.load_state_dict({name: t.float() for name, t in state.items()}, strict=False)


class _Bert:
    """The parts of a BERT that ALIGN's text tower takes over."""

    def __init__(self, path: Path) -> None:
        files = _files(path)
        try:
            theirs = {**json.loads(files["config.json"])}
            tokenizer = Tokenizer.from_str(files["tokenizer.json"].decode())
            state = load(files["model.safetensors"])
            config = AlignConfig.from_dict({"text_config": theirs}).text_config
        except Exception as error:  # the packages raise plain Exception, too
            raise CheckpointError(f"{path} holds no BERT: {error}") from error
        vocabulary = pieces(tokenizer)
        kept = [id for id, piece in enumerate(vocabulary) if latin(piece)]
        self.tokenizer = wordpiece([vocabulary[id] for id in kept])
        self.config = replace(
            config,
            vocab_size=len(kept),
            max_position_embeddings=min(MAX_TOKENS, config.max_position_embeddings),
        )
        words, places = (f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position"))
        state = {name.removeprefix("bert."): tensor for name, tensor in state.items()}
        if words not in state or places not in state:
            raise CheckpointError(f"{path} holds no BERT: it has no {words}")
        state[words], state[places] = state[words][kept], state[places][:MAX_TOKENS]
        self.state = {
            name: tensor
            for name, tensor in state.items()
            if name.startswith(("embeddings.", "encoder.")) and not name.endswith("position_ids")
        }


def _files(path: Path) -> Mapping[str, bytes]:
    """The files of a BERT in a folder or a zip file."""
    names = ("config.json", "tokenizer.json", "model.safetensors")
    try:
        if path.is_dir():
            return {name: (path / name).read_bytes() for name in names}
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in names}
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{path} is no folder or zip file with {', '.join(names)}: {error}"
        ) from error
