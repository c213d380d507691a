"""Towers that others might have trained: random weights in their layouts, as small as may be."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import BertConfig, BertModel

from encoder.tokenizer import Tokenizer

BLOCKS = (
    *((1, 16, 3), (6, 24, 3), (6, 24, 3), (6, 40, 5), (6, 40, 5), (6, 80, 3), (6, 80, 3)),
    *((6, 112, 5), (6, 192, 5), (6, 192, 5), (6, 320, 3)),
)
"""Expansion, channels and kernel of each block."""
STRIDES = {1: 2, 3: 2, 5: 2, 8: 2}
"""Of the blocks that have not 1."""
PIECES = [
    "[PAD]",
    "[unused0]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "##b",
    "cat",
    "猫",
    "é",
    "7",
    "##я",
    "on",
    "1234",
    "12",
    "。",
    "##ा",
    "½",
]


def lite(seed: int = 0) -> dict[str, Tensor]:
    """Random weights in the layout of EfficientNet-Lite, with few blocks."""
    torch.manual_seed(seed)
    weights: dict[str, Tensor] = {}

    def layer(conv: str, norm: str, out: int, inner: int, kernel: int = 1) -> None:
        weights[f"{conv}.weight"] = (
            torch.randn(out, inner, kernel, kernel) / (inner * kernel**2) ** 0.5
        )
        weights[f"{norm}.weight"] = torch.rand(out) + 0.5
        weights[f"{norm}.bias"] = torch.randn(out) / 2
        weights[f"{norm}.running_mean"] = torch.randn(out) / 10
        weights[f"{norm}.running_var"] = torch.rand(out) + 0.5
        weights[f"{norm}.num_batches_tracked"] = torch.tensor(5)

    layer("_conv_stem", "_bn0", 32, 3, 3)
    inner = 32
    for number, (ratio, out, kernel) in enumerate(BLOCKS):
        wide, block = ratio * inner, f"_blocks.{number}."
        if ratio > 1:
            layer(f"{block}_expand_conv", f"{block}_bn0", wide, inner)
        layer(f"{block}_depthwise_conv", f"{block}_bn1", wide, 1, kernel)
        layer(f"{block}_project_conv", f"{block}_bn2", out, wide)
        inner = out
    layer("_conv_head", "_bn1", 1280, 320)
    weights["_fc.weight"], weights["_fc.bias"] = torch.randn(10, 1280), torch.randn(10)
    return weights


def lite_features(weights: dict[str, Tensor], pictures: Tensor) -> Tensor:
    """What EfficientNet-Lite gives its classifier, (b, 1280), step by step."""

    def layer(x: Tensor, conv: str, norm: str, stride: int = 1, groups: int = 1) -> Tensor:
        kernel = weights[f"{conv}.weight"].shape[-1]
        total = max(kernel - stride, 0)
        before = total // 2
        x = F.pad(x, (before, total - before, before, total - before))
        x = F.conv2d(x, weights[f"{conv}.weight"], stride=stride, groups=groups)
        mean, variance, weight, bias = (
            weights[f"{norm}.{part}"][:, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-3) ** 0.5 * weight + bias

    x = F.relu6(layer(pictures, "_conv_stem", "_bn0", 2))
    for number, (ratio, _, _) in enumerate(BLOCKS):
        block, before = f"_blocks.{number}.", x
        if ratio > 1:
            x = F.relu6(layer(x, f"{block}_expand_conv", f"{block}_bn0"))
        stride = STRIDES.get(number, 1)
        x = F.relu6(layer(x, f"{block}_depthwise_conv", f"{block}_bn1", stride, x.shape[1]))
        x = layer(x, f"{block}_project_conv", f"{block}_bn2")
        if stride == 1 and x.shape == before.shape:
            x = x + before
    return F.relu6(layer(x, "_conv_head", "_bn1")).mean((2, 3))


def write_lite(path: Path) -> Path:
    """Write the weights of `lite` to a file, which is returned."""
    torch.save(lite(), path)
    return path


def write_bert(folder: Path, width: int = 32) -> BertModel:
    """Write a BERT with the vocabulary `PIECES` and its tokenizer to a folder; the model."""
    torch.manual_seed(1)
    sizes = {"hidden_size": width, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = BertModel(BertConfig(vocab_size=len(PIECES), intermediate_size=64, **sizes)).eval()
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(PIECES))
    (folder / "tokenizer.json").write_text(Tokenizer(folder).json)
    return model
