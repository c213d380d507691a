"""The model against `transformers.AlignModel` on the same weights.

A deep tower with plain random weights gives every picture the same embedding, so that agreement
would prove nothing: the weights here are drawn so that pictures differ, which each test checks.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers
from PIL import Image
from torch import Tensor, nn

from encoder.model.align import AlignModel, contrastive_loss
from encoder.model.config import AlignConfig
from encoder.model.efficientnet import DropBranch, channels_last, fold_batch_norms
from encoder.preprocess import Preprocessor

CONFIGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "scaled": {
        "vision": {
            "width_coefficient": 0.3,
            "depth_coefficient": 1.4,
            "depth_divisor": 4,
            "depthwise_padding": (0, 2),
            "kernel_sizes": (3, 3, 5),
            "strides": (1, 2, 2),
        }
    },
    "strided": {
        "vision": {
            "kernel_sizes": (5, 3, 5),
            "strides": (2, 2, 1),
            "depthwise_padding": (1,),
            "pooling_type": "max",
            "expand_ratios": (1, 6, 1),
        }
    },
    "odd": {
        "text": {"hidden_size": 35, "num_attention_heads": 5, "intermediate_size": 33},
        "vision": {
            "width_coefficient": 1.0,
            "depth_divisor": 1,
            "in_channels": (32, 7, 13),
            "out_channels": (7, 13, 21),
            "expand_ratios": (3, 5, 3),
            "squeeze_expansion_ratio": 0.1,
            "num_block_repeats": (2, 1, 2),
        },
    },
    "other activations": {
        "text": {"hidden_act": "relu", "layer_norm_eps": 1e-5, "num_hidden_layers": 1},
        "vision": {"hidden_act": "gelu", "batch_norm_eps": 1e-2, "strides": (2, 2, 2)},
    },
}

Tiny = Callable[..., AlignConfig]
ToPixels = Callable[[list[Image.Image], int], Tensor]
Enliven = Callable[[AlignModel, Tensor], AlignModel]


def peer(model: AlignModel) -> transformers.AlignModel:
    """The reference with our model's weights and precision."""
    config = transformers.AlignConfig.from_dict(model.config.to_dict())
    reference = transformers.AlignModel(config).eval()
    missing = reference.load_state_dict(model.state_dict(), strict=False)
    assert missing.unexpected_keys == []
    assert missing.missing_keys == [
        "text_model.pooler.dense.weight",
        "text_model.pooler.dense.bias",
    ]
    return reference.to(model.temperature.dtype)


def texts(config: AlignConfig, b: int, t: int) -> tuple[Tensor, Tensor]:
    """Random ids and masks; text i has t - i tokens, then padding."""
    rng = torch.Generator().manual_seed(0)
    ids = torch.randint(1, config.text_config.vocab_size, (b, t), generator=rng)
    mask = (torch.arange(t)[None] < t - torch.arange(b)[:, None]).long()
    return ids * mask, mask


def alikeness(embeddings: Tensor) -> float:
    """The largest cosine of two different rows."""
    rows = F.normalize(embeddings, dim=-1)
    return float((rows @ rows.T - 2 * torch.eye(len(rows))).max())


def assert_equal_outputs(model: AlignModel, ids: Tensor, mask: Tensor, pixels: Tensor) -> None:
    reference = peer(model)
    with torch.inference_mode():
        ours = model(ids, pixels, mask, return_loss=True)
        theirs = reference(
            input_ids=ids, pixel_values=pixels, attention_mask=mask, return_loss=True
        )
    assert alikeness(theirs.image_embeds) < 0.99
    assert alikeness(theirs.text_embeds) < 0.99
    close = torch.testing.assert_close
    close(ours.image_embeds, theirs.image_embeds, atol=1e-5, rtol=0)
    close(ours.text_embeds, theirs.text_embeds, atol=1e-5, rtol=0)
    close(ours.logits_per_image, theirs.logits_per_image, atol=1e-3, rtol=0)
    close(ours.logits_per_text, theirs.logits_per_text, atol=1e-3, rtol=0)
    close(ours.loss, theirs.loss, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [289, 96, 65])
@pytest.mark.parametrize("name", CONFIGS)
def test_outputs_equal_the_reference(
    name: str,
    size: int,
    tiny: Tiny,
    enliven: Enliven,
    pictures: list[Image.Image],
    to_pixels: ToPixels,
) -> None:
    config, pixels = tiny(**CONFIGS[name]), to_pixels(pictures, size)
    model = enliven(AlignModel(config), pixels)
    assert_equal_outputs(model, *texts(config, len(pictures), 11), pixels)


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", CONFIGS)
def test_gradients_equal_the_reference(
    name: str,
    mode: str,
    tiny: Tiny,
    enliven: Enliven,
    pictures: list[Image.Image],
    to_pixels: ToPixels,
) -> None:
    parts = CONFIGS[name]
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = tiny(
        text={**parts.get("text", {}), **still},
        vision={**parts.get("vision", {}), "drop_connect_rate": 0.0},
    )
    pixels = to_pixels(pictures, 65)
    # In double precision; but the reference's attention has a softmax in float32.
    model = enliven(AlignModel(config), pixels).double()
    reference = peer(model).train(mode == "train")
    model.train(mode == "train")
    ids, mask = texts(config, len(pictures), 11)
    loss = model(ids, pixels.double(), mask, return_loss=True).loss
    loss.backward()
    wanted_loss = reference(
        input_ids=ids, pixel_values=pixels.double(), attention_mask=mask, return_loss=True
    ).loss
    wanted_loss.backward()
    torch.testing.assert_close(loss, wanted_loss, atol=1e-6, rtol=0)
    found = {name: p.grad for name, p in model.named_parameters()}
    wanted = {n: p.grad for n, p in reference.named_parameters() if "pooler" not in n}
    assert found.keys() == wanted.keys()
    largest = max(float(gradient.abs().max()) for gradient in wanted.values())
    for name, gradient in wanted.items():
        # Some are zero in theory, such as the attention's key biases: compare them with the rest.
        scale = max(float(gradient.abs().max()), 1e-3 * largest)
        assert float((found[name] - gradient).abs().max()) < 1e-5 * scale, name


def test_a_wrong_resample_is_noticed_and_the_right_one_agrees(
    tiny: Tiny, enliven: Enliven, pictures: list[Image.Image], align_base: Preprocessor
) -> None:
    assert_sees_the_resample(AlignModel(tiny()).double(), enliven, pictures, align_base, 1e-6)


@pytest.mark.slow
def test_align_base_equals_the_reference(
    enliven: Enliven, pictures: list[Image.Image], align_base: Preprocessor
) -> None:
    """Full size, batches of pairs at 289 pixels, texts of up to 64 tokens."""
    model = AlignModel(AlignConfig())
    assert_sees_the_resample(model, enliven, pictures, align_base, 1e-5)
    ids, mask = texts(model.config, len(pictures), 64)
    assert_equal_outputs(model, ids, mask, pixels_of(align_base, pictures))


@pytest.mark.slow
def test_align_base_on_photographs(
    enliven: Enliven, data_dir: Path, align_base: Preprocessor
) -> None:
    files = sorted((data_dir / "coco_photos" / "images").glob("*.jpg"))[:6]
    assert len(files) == 6
    photos = [Image.open(file).convert("RGB") for file in files]
    model = AlignModel(AlignConfig())
    assert_sees_the_resample(model, enliven, photos, align_base, 1e-5)
    ids, mask = texts(model.config, len(photos), 21)
    assert_equal_outputs(model, ids, mask, pixels_of(align_base, photos))


def pixels_of(preprocessor: Preprocessor, pictures: list[Image.Image]) -> Tensor:
    pixels = np.stack([preprocessor.prepare(picture) for picture in pictures])
    return torch.from_numpy(preprocessor.to_floats(pixels)).contiguous()


def assert_sees_the_resample(
    model: AlignModel,
    enliven: Enliven,
    pictures: list[Image.Image],
    align_base: Preprocessor,
    tolerance: float,
) -> None:
    """Bicubic instead of bilinear moves every embedding by at least 1e-3. The whole path of the
    reference, with its image processor, agrees within `tolerance`."""
    kind = model.temperature.dtype
    bilinear = pixels_of(align_base, pictures).to(kind)
    enliven(model, bilinear)
    values = {**vars(align_base), "resample": Image.Resampling.BICUBIC}
    processor = transformers.EfficientNetImageProcessorPil(
        size={"height": 346, "width": 346},
        crop_size={"height": 289, "width": 289},
        resample=2,
        do_center_crop=True,
        rescale_factor=1 / 127.5,
        rescale_offset=True,
        do_normalize=False,
        include_top=False,
    )
    with torch.inference_mode():
        right = F.normalize(model.get_image_features(bilinear), dim=-1)
        wrong = model.get_image_features(pixels_of(Preprocessor(**values), pictures).to(kind))
        pixels = processor(pictures, return_tensors="pt").pixel_values.to(kind)
        theirs = peer(model).get_image_features(pixels)
    moved = (right - F.normalize(wrong, dim=-1)).norm(dim=-1)
    apart = (right - F.normalize(theirs.pooler_output, dim=-1)).norm(dim=-1)
    assert alikeness(right) < 0.99
    assert float(moved.min()) > 1e-3
    assert float(apart.max()) < tolerance


@pytest.mark.parametrize("name", CONFIGS)
def test_folded_norms_and_channels_last_change_nothing(
    name: str,
    tiny: Tiny,
    enliven: Enliven,
    pictures: list[Image.Image],
    to_pixels: ToPixels,
) -> None:
    pixels = to_pixels(pictures, 96)
    model = enliven(AlignModel(tiny(**CONFIGS[name])), pixels)
    with torch.inference_mode():
        plain = F.normalize(model.get_image_features(pixels), dim=-1)
        fold_batch_norms(model)
        folded = F.normalize(model.get_image_features(pixels), dim=-1)
        channels_last(model)
        last = model.get_image_features(pixels.to(memory_format=torch.channels_last))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert alikeness(plain) < 0.99
    torch.testing.assert_close(folded, plain, atol=1e-5, rtol=0)
    torch.testing.assert_close(F.normalize(last, dim=-1), plain, atol=1e-5, rtol=0)


def test_padding_changes_nothing(
    tiny: Tiny, enliven: Enliven, pictures: list[Image.Image], to_pixels: ToPixels
) -> None:
    config = tiny()
    model = enliven(AlignModel(config), to_pixels(pictures, 65))
    ids, mask = texts(config, 5, 9)
    wide = F.pad(ids, (0, 64 - 9), value=7), F.pad(mask, (0, 64 - 9))
    with torch.inference_mode():
        longest = F.normalize(model.get_text_features(ids, mask), dim=-1)
        to_64 = F.normalize(model.get_text_features(*wide), dim=-1)
        alone = F.normalize(model.get_text_features(ids[4:, :5]), dim=-1)
    assert alikeness(longest) < 0.99
    torch.testing.assert_close(to_64, longest, atol=1e-6, rtol=0)
    torch.testing.assert_close(alone, longest[4:], atol=1e-6, rtol=0)


def test_dropout_acts_in_training_only(
    tiny: Tiny, enliven: Enliven, pictures: list[Image.Image], to_pixels: ToPixels
) -> None:
    config, pixels = tiny(), to_pixels(pictures, 65)
    model = enliven(AlignModel(config), pixels)
    ids, mask = texts(config, len(pictures), 9)
    with torch.inference_mode():
        first, second = (model(ids, pixels, mask).image_embeds for _ in range(2))
        assert torch.equal(first, second)
        model.train()
        dropped = [model(ids, pixels, mask) for _ in range(2)]
    assert not torch.equal(dropped[0].image_embeds, dropped[1].image_embeds)
    assert not torch.equal(dropped[0].text_embeds, dropped[1].text_embeds)


def test_norms_keep_the_share_that_the_config_says(
    tiny: Tiny, pictures: list[Image.Image], to_pixels: ToPixels
) -> None:
    """The only deviation: the reference uses the share that is kept as the share that is new."""
    model = AlignModel(tiny(vision={"batch_norm_momentum": 0.75})).train()
    norm, pixels = model.vision_model.embeddings.batchnorm, to_pixels(pictures, 65)
    with torch.no_grad():
        batch = model.vision_model.embeddings.convolution(F.pad(pixels, (0, 1, 0, 1)))
        model.get_image_features(pixels)
    torch.testing.assert_close(norm.running_mean, 0.25 * batch.mean((0, 2, 3)))
    moved = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {m.momentum for m in moved} == {0.25}


def test_the_loss_is_optional(tiny: Tiny, pictures: list[Image.Image], to_pixels: ToPixels) -> None:
    config = tiny()
    model = AlignModel(config).eval()
    ids, mask = texts(config, 2, 5)
    with torch.inference_mode():
        out = model(ids, to_pixels(pictures[:3], 65), mask)
    assert out.loss is None
    assert out.logits_per_image.shape == (3, 2)
    assert torch.equal(out.logits_per_text, out.logits_per_image.T)


@pytest.mark.parametrize("b", [1, 2, 7])
def test_contrastive_loss_is_the_papers(b: int) -> None:
    logits = np.random.default_rng(b).normal(0, 3, (b, b))

    def cross_entropy(rows: "np.ndarray[Any, Any]") -> float:
        logs = rows - np.log(np.exp(rows).sum(1, keepdims=True))
        smooth = np.full((b, b), 0.1 / b) + 0.9 * np.eye(b)
        return float(-(smooth * logs).sum(1).mean())

    wanted = (cross_entropy(logits) + cross_entropy(logits.T)) / 2
    found = contrastive_loss(torch.from_numpy(logits))
    assert float(found) == pytest.approx(wanted, abs=1e-12)


def published_names() -> set[str]:
    """The names of ALIGN's published state dict that the model uses, written out by hand."""

    def weight_bias(*stems: str) -> list[str]:
        return [f"{stem}.{kind}" for stem in stems for kind in ("weight", "bias")]

    def norm(stem: str) -> list[str]:
        return [f"{stem}.{k}" for k in ("weight", "bias", "running_mean", "running_var")]

    text, vision = "text_model.embeddings", "vision_model.embeddings"
    names = ["temperature", *weight_bias("text_projection", f"{text}.LayerNorm")]
    names += [f"{text}.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")]
    for i in range(12):
        layer = f"text_model.encoder.layer.{i}"
        names += weight_bias(
            *(f"{layer}.attention.self.{part}" for part in ("query", "key", "value")),
            *(f"{layer}.attention.output.{part}" for part in ("dense", "LayerNorm")),
            f"{layer}.intermediate.dense",
            *(f"{layer}.output.{part}" for part in ("dense", "LayerNorm")),
        )
    names += [f"{vision}.convolution.weight", *norm(f"{vision}.batchnorm")]
    for i in range(55):
        block = f"vision_model.encoder.blocks.{i}"
        if i >= 4:  # the first stage (1 x 3.1 blocks, rounded up) does not expand
            names += [f"{block}.expansion.expand_conv.weight"]
            names += norm(f"{block}.expansion.expand_bn")
        names += [f"{block}.depthwise_conv.depthwise_conv.weight"]
        names += norm(f"{block}.depthwise_conv.depthwise_norm")
        names += weight_bias(f"{block}.squeeze_excite.reduce", f"{block}.squeeze_excite.expand")
        names += [f"{block}.projection.project_conv.weight"]
        names += norm(f"{block}.projection.project_bn")
    return set(names)


def test_names_and_numbers_are_those_of_align_base() -> None:
    with torch.device("meta"):
        model = AlignModel(AlignConfig())
        reference = transformers.AlignModel(transformers.AlignConfig())
    shapes = {name: t.shape for name, t in model.state_dict().items()}
    published = {name: t.shape for name, t in reference.state_dict().items()}
    counters = {name for name in published if name.endswith("num_batches_tracked")}
    pooler = {f"text_model.pooler.dense.{kind}" for kind in ("weight", "bias")}
    # 1,394 tensors: 1,230 in use, 2 of the pooler, and a counter for each of 162 norms.
    assert (len(published), len(published_names()), len(counters)) == (1394, 1230, 162)
    assert published.keys() - pooler - counters == published_names()
    assert shapes.keys() - counters == published_names()
    assert shapes == {name: published[name] for name in published.keys() - pooler}
    # 172.1 million with the unused pooler's 590,592, 62.1 million of them the picture tower's.
    assert sum(p.numel() for p in reference.parameters()) == 172_117_841
    assert sum(p.numel() for p in model.parameters()) == 172_117_841 - 590_592
    assert sum(p.numel() for p in model.vision_model.parameters()) == 62_143_440


def test_a_branch_is_left_out_of_a_picture_as_a_whole() -> None:
    torch.manual_seed(0)
    drop = DropBranch(0.3)
    x = torch.rand(1000, 2, 3, 3) + 0.5
    kept = (drop(x) / x).round(decimals=4)  # 0, or what makes up for the others
    assert torch.equal(kept, kept[:, :1, :1, :1].expand_as(kept))
    values, counts = kept[:, 0, 0, 0].unique(return_counts=True)
    assert values.tolist() == pytest.approx([0, 1 / 0.7], abs=1e-4)
    assert counts[0] / 1000 == pytest.approx(0.3, abs=0.05)
    assert torch.equal(DropBranch(0.0)(x), x)
    drop.elementwise = True
    single = (drop(x) / x).round(decimals=4)
    assert not torch.equal(single, single[:, :1, :1, :1].expand_as(single))
    assert (single == 0).float().mean() == pytest.approx(0.3, abs=0.02)
    assert torch.equal(drop.eval()(x), x)
