"""The activations that configs name, as the reference has them; those without parameters."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from encoder.model.config import ACTIVATIONS


class QuickGelu(nn.Module):
    """GELU by a sigmoid (arXiv 1606.08415, section 2)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class ClippedGelu(nn.Module):
    """GELU within [-10, 10] (arXiv 2004.09602)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(x).clamp(-10, 10)


class SquaredRelu(nn.Module):
    """The square of ReLU (arXiv 2109.08668)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x).square()


class Laplace(nn.Module):
    """The distribution function that resembles the squared ReLU (arXiv 2209.10655)."""

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * (1 + torch.erf((x - 0.707107) / (0.282095 * 2**0.5)))


class TanhGelu(nn.GELU):
    """GELU by a tanh (arXiv 1606.08415, section 2)."""

    def __init__(self) -> None:
        super().__init__(approximate="tanh")


_KINDS: dict[str, type[nn.Module]] = {
    "gelu": nn.GELU,
    "gelu_10": ClippedGelu,
    "gelu_tanh": TanhGelu,
    "hardswish": nn.Hardswish,
    "laplace": Laplace,
    "leaky_relu": nn.LeakyReLU,
    "linear": nn.Identity,
    "mish": nn.Mish,
    "quick_gelu": QuickGelu,
    "relu": nn.ReLU,
    "relu2": SquaredRelu,
    "relu6": nn.ReLU6,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


def activation(name: str) -> nn.Module:
    """The activation that a config names."""
    return _KINDS[ACTIVATIONS[name]]()
