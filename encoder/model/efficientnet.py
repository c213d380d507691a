"""EfficientNet (Tan & Le 2019, arXiv 1905.11946) without its top: the picture tower of ALIGN.

Modules carry the names of the published state dict. Shapes: b pictures, c channels, h x w pixels.
Deviation from the `transformers` implementation, in training only: `batch_norm_momentum` is read in
TensorFlow's sense (the share that is kept), as EfficientNet's authors meant it, in every norm.
"""

from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from encoder.model.activations import activation
from encoder.model.config import BlockConfig, VisionConfig

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class Stem(nn.Module):
    """3 x 3 convolution with stride 2, padded on the right and bottom only."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        out = config.channels(config.in_channels[0])
        self.convolution = nn.Conv2d(config.num_channels, out, 3, stride=2, bias=False)
        self.batchnorm = _norm(config, out)
        self.activation = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 1, 0, 1))
        return cast(Tensor, self.activation(self.batchnorm(self.convolution(x))))


class Expansion(nn.Module):
    """1 x 1 convolution to `out` channels."""

    def __init__(self, config: VisionConfig, channels: int, out: int) -> None:
        super().__init__()
        self.expand_conv = nn.Conv2d(channels, out, 1, bias=False)
        self.expand_bn = _norm(config, out)
        self.expand_act = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.expand_act(self.expand_bn(self.expand_conv(x))))


class Depthwise(nn.Module):
    """One k x k filter a channel."""

    def __init__(self, config: VisionConfig, block: BlockConfig) -> None:
        super().__init__()
        channels = block.channels * block.expand_ratio
        before, after = block.padding
        self.padding = (before, after, before, after)
        self.depthwise_conv = nn.Conv2d(
            channels,
            channels,
            block.kernel,
            block.stride,
            padding=after if before == after else 0,
            groups=channels,
            bias=False,
        )
        self.depthwise_norm = _norm(config, channels)
        self.depthwise_act = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        if self.padding[0] != self.padding[1]:
            x = F.pad(x, self.padding)
        if x.device.type == "cpu":
            # There, gradients of depthwise filters take up to five times as long in bfloat16.
            with torch.autocast("cpu", enabled=False):
                x = self.depthwise_conv(x.to(self.depthwise_conv.weight.dtype))
        else:
            x = self.depthwise_conv(x)
        return cast(Tensor, self.depthwise_act(self.depthwise_norm(x)))


class SqueezeExcite(nn.Module):
    """Weight the channels by what they hold over the whole picture (arXiv 1709.01507)."""

    def __init__(self, config: VisionConfig, channels: int, squeezed: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)
        self.act_reduce = activation(config.hidden_act)

    def forward(self, x: Tensor) -> Tensor:
        weights = x.mean((2, 3), keepdim=True)  # (b, c, 1, 1)
        return x * torch.sigmoid(self.expand(self.act_reduce(self.reduce(weights))))


class Projection(nn.Module):
    """1 x 1 convolution to the block's output, without activation."""

    def __init__(self, config: VisionConfig, channels: int, out: int) -> None:
        super().__init__()
        self.project_conv = nn.Conv2d(channels, out, 1, bias=False)
        self.project_bn = _norm(config, out)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.project_bn(self.project_conv(x)))


class DropBranch(nn.Module):
    """Training leaves out what a block adds to a picture. Chance decides for each picture
    (arXiv 1603.09382); EfficientNet's authors do so. With `elementwise` chance decides for each
    number, as in the reference."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate, self.elementwise = rate, False

    def forward(self, x: Tensor) -> Tensor:
        if self.elementwise or not self.training or not self.rate:
            return F.dropout(x, self.rate, self.training)
        kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.rate
        return x * (kept / (1 - self.rate)).to(x.dtype)


class Block(nn.Module):
    """Inverted residual bottleneck (MBConv); every block of a stage but its first has a skip."""

    def __init__(self, config: VisionConfig, block: BlockConfig) -> None:
        super().__init__()
        wide = block.channels * block.expand_ratio
        expands = block.expand_ratio != 1
        self.expansion = Expansion(config, block.channels, wide) if expands else None
        self.depthwise_conv = Depthwise(config, block)
        self.squeeze_excite = SqueezeExcite(config, wide, block.squeezed)
        self.projection = Projection(config, wide, block.out)
        self.dropout = DropBranch(block.drop_rate) if block.skip else None

    def forward(self, x: Tensor) -> Tensor:
        out = self.projection(self.widened(x))
        return cast(Tensor, out if self.dropout is None else x + self.dropout(out))

    def widened(self, x: Tensor) -> Tensor:
        """What the projection sees."""
        wide = x if self.expansion is None else self.expansion(x)
        return cast(Tensor, self.squeeze_excite(self.depthwise_conv(wide)))


class Blocks(nn.Module):
    """All stages in one flat list, as the state dict numbers them."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        blocks = (block for stage in config.stages() for block in stage)
        self.blocks = nn.ModuleList(Block(config, block) for block in blocks)


class EfficientNet(nn.Module):
    """Pictures (b, 3, h, w) float to embeddings (b, `config.embedding_size`), not normalised."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.embeddings = Stem(config)
        self.encoder = Blocks(config)
        self.pooling_type = config.pooling_type
        self._repeats = [len(stage) for stage in config.stages()]

    def first_stages(self, count: int) -> list[nn.Module]:
        """The stem and the blocks of the first `count` stages; nothing if that is 0."""
        blocks = self.encoder.blocks[: sum(self._repeats[:count])]
        return [self.embeddings, *blocks] if count else []

    def last_stage(self) -> list[Block]:
        """The blocks of the last stage."""
        return cast(list[Block], list(self.encoder.blocks[-self._repeats[-1] :]))

    def forward(self, x: Tensor) -> Tensor:
        return self.after_stages(self.embeddings(x), 0)

    def after_stages(self, x: Tensor, count: int) -> Tensor:
        """The embeddings of pictures of which the stem and the first `count` stages made `x`."""
        for block in self.encoder.blocks[sum(self._repeats[:count]) :]:
            x = block(x)  # at last (b, c, h / 32, w / 32)
        return x.mean((2, 3)) if self.pooling_type == "mean" else x.amax((2, 3))

    def widened(self, x: Tensor) -> Tensor:
        """What the projection of the last stage's first block sees of pictures."""
        for module in self.first_stages(len(self._repeats) - 1):
            x = module(x)
        return self.last_stage()[0].widened(x)

    def before_head(self) -> list[nn.Module]:
        """The modules that `widened` uses."""
        head = self.last_stage()[0]
        inside = (head.expansion, head.depthwise_conv, head.squeeze_excite)
        return [
            *self.first_stages(len(self._repeats) - 1),
            *(module for module in inside if module is not None),
        ]


def fold_batch_norms(model: nn.Module) -> None:
    """Multiply every norm into the convolution before it, in place; for evaluation only."""
    pairs = (
        ("convolution", "batchnorm"),
        ("expand_conv", "expand_bn"),
        ("depthwise_conv", "depthwise_norm"),
        ("project_conv", "project_bn"),
    )
    for module in list(model.modules()):
        for conv, norm in pairs:
            if isinstance(getattr(module, norm, None), nn.BatchNorm2d):
                fused = fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm))
                setattr(module, conv, fused)
                setattr(module, norm, nn.Identity())


def channels_last(model: ModuleT) -> ModuleT:
    """Lay out the filters as the fast convolution kernels want them, in place."""
    # torch's own stub lacks this signature
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def _norm(config: VisionConfig, channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(
        channels, eps=config.batch_norm_eps, momentum=1 - config.batch_norm_momentum
    )
