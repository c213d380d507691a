"""The sizes of an ALIGN model, read from and written to the published ``config.json``."""

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from encoder.errors import CheckpointError

_GELU_TANH = ("gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh")
_PLAIN = (
    *("gelu", "gelu_10", "hardswish", "laplace", "leaky_relu", "linear", "mish"),
    *("quick_gelu", "relu", "relu2", "relu6", "sigmoid", "silu", "tanh"),
)
ACTIVATIONS = {
    **{name: name for name in _PLAIN},
    **dict.fromkeys(_GELU_TANH, "gelu_tanh"),
    "gelu_python": "gelu",
    "swish": "silu",
}
"""The function that each name of the reference stands for; several names stand for one."""


@dataclass(frozen=True)
class TextConfig:
    """BERT tower; defaults are BERT-base, as in the reference."""

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 0

    def __post_init__(self) -> None:
        _check_numbers("text_config", self)
        if self.hidden_size % self.num_attention_heads:
            raise CheckpointError(
                f"text_config: hidden_size {self.hidden_size} is not a multiple of"
                f" num_attention_heads {self.num_attention_heads}"
            )
        _check_activation("text_config", self.hidden_act)


@dataclass(frozen=True)
class BlockConfig:
    """One inverted residual bottleneck, its sizes scaled."""

    channels: int
    out: int
    kernel: int
    stride: int
    expand_ratio: int
    square: bool
    """Whether padding is the same on all sides also where the stride is 2."""
    skip: bool
    """Whether its input is added to its output: in every block of a stage but the first."""
    squeezed: int
    """Channels between the two layers of its squeeze and excitation."""
    drop_rate: float

    @property
    def padding(self) -> tuple[int, int]:
        """Pixels that are put before and behind, for both axes. With stride 2 it is TensorFlow's
        padding of even sizes (one less before), except in the blocks that the config lists."""
        after = self.kernel // 2
        return (after if self.square or self.stride == 1 else after - 1), after

    def side(self, pixels: int) -> int:
        """What is left of so many pixels in a row."""
        return (pixels + sum(self.padding) - self.kernel) // self.stride + 1


@dataclass(frozen=True)
class VisionConfig:
    """EfficientNet tower (Tan & Le 2019, arXiv 1905.11946, tables 1 and 2); defaults are B7.

    The seven lists hold one entry a stage, before the width and depth coefficients are applied.
    """

    num_channels: int = 3
    image_size: int = 600
    width_coefficient: float = 2.0
    depth_coefficient: float = 3.1
    depth_divisor: int = 8
    kernel_sizes: tuple[int, ...] = (3, 3, 5, 3, 5, 5, 3)
    in_channels: tuple[int, ...] = (32, 16, 24, 40, 80, 112, 192)
    out_channels: tuple[int, ...] = (16, 24, 40, 80, 112, 192, 320)
    depthwise_padding: tuple[int, ...] = ()
    strides: tuple[int, ...] = (1, 2, 2, 2, 1, 2, 1)
    num_block_repeats: tuple[int, ...] = (1, 2, 2, 3, 3, 4, 1)
    expand_ratios: tuple[int, ...] = (1, 6, 6, 6, 6, 6, 6)
    squeeze_expansion_ratio: float = 0.25
    hidden_act: str = "swish"
    hidden_dim: int = 2560
    """Kernel of the reference's final pooling, never smaller than the feature map: no effect."""
    pooling_type: str = "mean"
    initializer_range: float = 0.02
    batch_norm_eps: float = 1e-3
    batch_norm_momentum: float = 0.99
    drop_connect_rate: float = 0.2

    def __post_init__(self) -> None:
        _check_numbers("vision_config", self)
        stages = {len(getattr(self, name)) for name in _STAGE_LISTS}
        if len(stages) != 1:
            raise CheckpointError(
                f"vision_config: {', '.join(_STAGE_LISTS)} must hold one entry a stage,"
                f" but have lengths {[len(getattr(self, name)) for name in _STAGE_LISTS]}"
            )
        if self.pooling_type not in ("mean", "max"):
            raise CheckpointError(
                f"vision_config: pooling_type is {self.pooling_type!r}, not 'mean' or 'max'"
            )
        _check_activation("vision_config", self.hidden_act)

    def channels(self, base: int) -> int:
        """Scale a channel count by the width coefficient, to a multiple of `depth_divisor` that
        is at most 10 % below the exact product (arXiv 1905.11946, its published code)."""
        exact, step = base * self.width_coefficient, self.depth_divisor
        rounded = max(step, int(exact + step / 2) // step * step)
        return rounded + step if rounded < 0.9 * exact else rounded

    def repeats(self, base: int) -> int:
        """Scale a number of blocks by the depth coefficient, rounded up."""
        return math.ceil(self.depth_coefficient * base)

    def stages(self) -> list[list[BlockConfig]]:
        """The blocks of every stage."""
        total = sum(self.repeats(n) for n in self.num_block_repeats)
        stages: list[list[BlockConfig]] = []
        for stage, repeats in enumerate(self.num_block_repeats):
            out = self.channels(self.out_channels[stage])
            blocks: list[BlockConfig] = []
            for i in range(self.repeats(repeats)):
                number = sum(map(len, stages)) + i
                channels = self.channels(self.in_channels[stage]) if i == 0 else out
                blocks.append(
                    BlockConfig(
                        channels,
                        out,
                        kernel=self.kernel_sizes[stage],
                        stride=self.strides[stage] if i == 0 else 1,
                        expand_ratio=self.expand_ratios[stage],
                        square=number in self.depthwise_padding,
                        skip=i > 0,
                        squeezed=max(1, int(channels * self.squeeze_expansion_ratio)),
                        drop_rate=self.drop_connect_rate * number / total,
                    )
                )
            stages.append(blocks)
        return stages

    def widest(self, height: int, width: int) -> int:
        """Numbers in the widest layer of a picture of `height` times `width` pixels."""
        return max(self._layers(height, width))

    def require_room(self, height: int, width: int) -> None:
        """Raise CheckpointError if pictures of `height` times `width` pixels shrink to nothing."""
        for _ in self._layers(height, width):
            pass

    def _layers(self, height: int, width: int) -> Iterator[int]:
        """The size of each layer that may be the widest."""
        h, w = height // 2, width // 2  # after the stem
        yield h * w * self.channels(self.in_channels[0])
        for stage in self.stages():
            for block in stage:
                if min(h, w) < 1 or block.side(min(h, w)) < 1:
                    raise CheckpointError(
                        f"pictures of {width} x {height} pixels are too small for this model"
                    )
                yield h * w * block.channels * block.expand_ratio
                h, w = block.side(h), block.side(w)

    @property
    def embedding_size(self) -> int:
        """Channels of the last block: the length of an image embedding."""
        return self.channels(self.out_channels[-1])


_STAGE_LISTS = (
    "kernel_sizes",
    "in_channels",
    "out_channels",
    "strides",
    "num_block_repeats",
    "expand_ratios",
)


@dataclass(frozen=True)
class AlignConfig:
    """Both towers and their join; defaults are the reference's (image_size 600, not 289)."""

    text_config: TextConfig = field(default_factory=TextConfig)
    vision_config: VisionConfig = field(default_factory=VisionConfig)
    projection_dim: int = 640
    temperature_init_value: float = 1.0
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        _check_numbers("config", self)
        if self.projection_dim != self.vision_config.embedding_size:
            raise CheckpointError(
                f"projection_dim is {self.projection_dim}, but the last block of the vision tower"
                f" has {self.vision_config.embedding_size} channels: they must be equal"
            )

    @classmethod
    def from_text_vision_configs(
        cls, text_config: TextConfig, vision_config: VisionConfig, **rest: Any
    ) -> Self:
        """Join two tower configs; `rest` are the remaining fields of `AlignConfig`."""
        return cls(text_config=text_config, vision_config=vision_config, **rest)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Take the known fields of a published ``config.json``; others do not change the model."""
        if values.get("model_type", "align") != "align":
            raise CheckpointError(f"model_type is {values['model_type']!r}, not 'align'")
        text = values.get("text_config") or {}
        if text.get("position_embedding_type", "absolute") != "absolute":
            raise CheckpointError("text_config: only absolute position embeddings are supported")
        known = _known(cls, values)
        known["text_config"] = TextConfig(**_known(TextConfig, text))
        known["vision_config"] = VisionConfig(
            **_known(VisionConfig, values.get("vision_config") or {})
        )
        return cls(**known)

    def identity(self) -> dict[str, Any]:
        """What embeddings depend on beside the weights, whose names and shapes say the rest."""
        text, vision = self.text_config, self.vision_config
        return {
            "text": (text.num_attention_heads, ACTIVATIONS[text.hidden_act]),
            "layer_norm_eps": text.layer_norm_eps,
            "blocks": [
                (block.stride, block.square and block.stride != 1, block.skip)
                for stage in vision.stages()
                for block in stage
            ],
            "vision": (vision.pooling_type, ACTIVATIONS[vision.hidden_act]),
            "batch_norm_eps": vision.batch_norm_eps,
        }

    def to_dict(self) -> dict[str, Any]:
        """Every field, in the layout of the published ``config.json``."""
        values = dataclasses.asdict(self)
        values["text_config"]["model_type"] = "align_text_model"
        values["vision_config"]["model_type"] = "align_vision_model"
        return {"architectures": ["AlignModel"], "model_type": "align", **values}

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a ``config.json``; CheckpointError if it is not of this architecture."""
        try:
            return cls.from_dict(json.loads(path.read_text("utf-8")))
        except (ValueError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path} is not a config of an ALIGN model: {error}") from error

    def write(self, path: Path) -> None:
        """Write a ``config.json``."""
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n", "utf-8")


def _known(kind: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    names = {f.name for f in dataclasses.fields(kind)}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in values.items()
        if name in names and value is not None
    }


def _check_numbers(where: str, config: Any) -> None:
    """Sizes must be whole numbers from 1, rates numbers from 0; the default's type says which."""
    for f in dataclasses.fields(config):
        value, default = getattr(config, f.name), f.default
        least = 0 if f.name in ("pad_token_id", "depthwise_padding") else 1
        if isinstance(default, str) or default is dataclasses.MISSING or f.name == "image_size":
            continue  # image_size has no effect, and the reference allows a pair
        if isinstance(default, tuple):
            right = isinstance(value, tuple) and all(type(n) is int and n >= least for n in value)
        elif isinstance(default, float):
            right = type(value) in (int, float) and 0 <= value < math.inf
        else:
            right = type(value) is int and value >= least
        if not right:
            raise CheckpointError(f"{where}: {f.name} cannot be {value!r}")


def _check_activation(where: str, name: str) -> None:
    if name not in ACTIVATIONS:
        raise CheckpointError(
            f"{where}: hidden_act is {name!r}, not one of {', '.join(ACTIVATIONS)}"
        )
