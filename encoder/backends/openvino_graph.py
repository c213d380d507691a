"""The picture tower as a graph of OpenVINO, made of the weights alone, without torch.

`encoder.model.efficientnet` says what is computed. Shapes: b pictures, c channels, h x w pixels.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from encoder.backends.quiet_openvino import openvino as ov
from encoder.model.config import ACTIVATIONS, BlockConfig, VisionConfig
from encoder.preprocess import Preprocessor

ops = ov.opset13

Arrays = Mapping[str, npt.NDArray[np.float32]]


def image_graph(config: VisionConfig, rules: Preprocessor, arrays: Arrays) -> ov.Model:
    """One prepared picture (1, h, w, 3) uint8 to its features (1, e); CPUs are fastest so. `arrays`
    are the weights by their names in the checkpoint."""
    net = _Network(arrays, config.batch_norm_eps)
    pixels = ops.parameter([1, *(rules.shape or (-1, -1, 3))], np.uint8, name="pixels")
    x = ops.transpose(_floats(pixels, rules), [0, 3, 1, 2])
    x = net.conv(x, "embeddings.", ("convolution", "batchnorm"), stride=2, padding=(0, 1))
    x = _activate(x, config.hidden_act)
    blocks = [block for stage in config.stages() for block in stage]
    for number, block in enumerate(blocks):
        x = _block(net, x, f"encoder.blocks.{number}.", block, config.hidden_act)
    pool = ops.reduce_mean if config.pooling_type == "mean" else ops.reduce_max
    return ov.Model([pool(x, [2, 3])], [pixels], "image tower")


class _Network:
    """Layers by their names in the checkpoint."""

    def __init__(self, arrays: Arrays, eps: float) -> None:
        self._arrays, self._eps = arrays, eps

    def __call__(self, name: str) -> npt.NDArray[np.float32]:
        return self._arrays[f"vision_model.{name}"]

    def conv(
        self,
        x: ov.Output,
        where: str,
        names: tuple[str, str],
        *,
        stride: int = 1,
        padding: tuple[int, int] = (0, 0),
        depthwise: bool = False,
    ) -> ov.Node:
        """A convolution and the batch norm after it, which is folded into it."""
        conv, norm = (where + name for name in names)
        variance = self(f"{norm}.running_var").astype(np.float64) + self._eps
        factor = self(f"{norm}.weight") / np.sqrt(variance)
        weight = self(f"{conv}.weight") * factor[:, None, None, None]
        bias = self(f"{norm}.bias") - self(f"{norm}.running_mean") * factor
        before, after = padding
        sizes = ([stride] * 2, [before] * 2, [after] * 2, [1, 1])
        if depthwise:
            filters = _constant(weight[:, None])  # (c, 1, 1, k, k)
            made = ops.group_convolution(x, filters, *sizes)
        else:
            made = ops.convolution(x, _constant(weight), *sizes)
        return ops.add(made, _constant(bias[None, :, None, None]))

    def gate(self, x: ov.Output, where: str) -> ov.Node:
        """A 1 x 1 convolution with bias."""
        made = ops.convolution(
            x, _constant(self(f"{where}.weight")), [1, 1], [0, 0], [0, 0], [1, 1]
        )
        return ops.add(made, _constant(self(f"{where}.bias")[None, :, None, None]))


def _floats(pixels: ov.Output, rules: Preprocessor) -> ov.Node:
    """As `Preprocessor.to_floats`, but (b, h, w, 3)."""
    x = ops.convert(pixels, np.float32)
    mean, std = (_constant(v) for v in (rules.image_mean, rules.image_std))
    if rules.do_rescale:
        x = ops.multiply(x, _constant(rules.rescale_factor))
        if rules.rescale_offset:
            x = ops.subtract(x, _constant(1))
    if rules.do_normalize:
        x = ops.divide(ops.subtract(x, mean), std)
    return ops.divide(x, std) if rules.include_top else x


def _block(net: _Network, x: ov.Output, where: str, block: BlockConfig, act: str) -> ov.Node:
    wide = x
    if block.expand_ratio != 1:
        names = ("expand_conv", "expand_bn")
        wide = _activate(net.conv(x, f"{where}expansion.", names), act)
    wide = net.conv(
        wide,
        f"{where}depthwise_conv.",
        ("depthwise_conv", "depthwise_norm"),
        stride=block.stride,
        padding=block.padding,
        depthwise=True,
    )
    wide = _activate(wide, act)
    squeeze = f"{where}squeeze_excite."
    mean = ops.reduce_mean(wide, [2, 3], keep_dims=True)  # (b, c, 1, 1)
    weights = _activate(net.gate(mean, f"{squeeze}reduce"), act)
    wide = ops.multiply(wide, ops.sigmoid(net.gate(weights, f"{squeeze}expand")))
    out = net.conv(wide, f"{where}projection.", ("project_conv", "project_bn"))
    return ops.add(out, x) if block.skip else out


def _activate(x: ov.Output, name: str) -> ov.Node:
    kind = ACTIVATIONS[name]
    if kind == "linear":
        return x
    if kind == "relu2":
        half = ops.relu(x)
        return ops.multiply(half, half)
    if kind == "laplace":
        inner = ops.divide(ops.subtract(x, _constant(0.707107)), _constant(0.282095 * 2**0.5))
        return ops.multiply(ops.add(ops.erf(inner), _constant(1)), _constant(0.5))
    plain = {
        "gelu": lambda: ops.gelu(x, "ERF"),
        "gelu_10": lambda: ops.clamp(ops.gelu(x, "ERF"), -10, 10),
        "gelu_tanh": lambda: ops.gelu(x, "TANH"),
        "hardswish": lambda: ops.hswish(x),
        "leaky_relu": lambda: ops.prelu(x, _constant([0.01])),
        "mish": lambda: ops.mish(x),
        "quick_gelu": lambda: ops.swish(x, _constant(1.702)),
        "relu": lambda: ops.relu(x),
        "relu6": lambda: ops.clamp(x, 0, 6),
        "sigmoid": lambda: ops.sigmoid(x),
        "silu": lambda: ops.swish(x),
        "tanh": lambda: ops.tanh(x),
    }
    return plain[kind]()


def _constant(values: npt.ArrayLike) -> ov.Node:
    return ops.constant(np.asarray(values, np.float32, order="C"))
