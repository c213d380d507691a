"""Configs compared with the reference's, and the errors for damaged ones."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from encoder.errors import CheckpointError
from encoder.model.config import AlignConfig, TextConfig, VisionConfig
from encoder.model.efficientnet import EfficientNet

ALIGN_BASE = AlignConfig(vision_config=VisionConfig(image_size=289, hidden_dim=640))


def published() -> dict[str, Any]:
    """A `config.json` of the reference, with the parts that do not concern the model."""
    reference = transformers.AlignConfig(
        text_config=transformers.AlignTextConfig(),
        vision_config=transformers.AlignVisionConfig(image_size=289, hidden_dim=640),
    )
    values: dict[str, Any] = json.loads(reference.to_json_string(use_diff=False))
    # The other values in the file of kakaobrain/align-base.
    values |= {"architectures": ["AlignModel"], "torch_dtype": "float32", "logit_scale": None}
    values["text_config"] |= {
        "position_embedding_type": "absolute",
        "use_cache": True,
        "id2label": {"0": "LABEL_0", "1": "LABEL_1"},
        "top_k": 50,
        "_name_or_path": "",
    }
    values["vision_config"] |= {"dropout_rate": 0.5, "num_hidden_layers": 64, "top_p": 1.0}
    return values


def test_defaults_are_the_references() -> None:
    pairs = (
        (TextConfig(), transformers.AlignTextConfig()),
        (VisionConfig(), transformers.AlignVisionConfig()),
    )
    for ours, reference in pairs:
        fields = dataclasses.asdict(ours)
        wanted = {name: getattr(reference, name) for name in fields}
        assert fields == {n: tuple(v) if isinstance(v, list) else v for n, v in wanted.items()}
    joint = dataclasses.asdict(AlignConfig())
    del joint["text_config"], joint["vision_config"]
    reference = transformers.AlignConfig()
    assert joint == {name: getattr(reference, name) for name in joint}


def test_reads_a_published_file(tmp_path: Path) -> None:
    values = published()
    assert "transformers_version" in values
    (tmp_path / "config.json").write_text(json.dumps(values))
    assert AlignConfig.read(tmp_path / "config.json") == ALIGN_BASE


def test_what_a_file_leaves_out_has_its_default() -> None:
    assert AlignConfig.from_dict({}) == AlignConfig()
    assert AlignConfig.from_dict({"text_config": None, "vision_config": {}}) == AlignConfig()
    assert AlignConfig.from_dict({"text_config": {"vocab_size": 9}}) == AlignConfig(
        text_config=TextConfig(vocab_size=9)
    )


@pytest.mark.parametrize("config", [AlignConfig(), ALIGN_BASE], ids=["default", "align-base"])
def test_round_trip(config: AlignConfig, tmp_path: Path) -> None:
    config.write(tmp_path / "config.json")
    assert AlignConfig.read(tmp_path / "config.json") == config
    assert AlignConfig.from_dict(config.to_dict()) == config


def test_small_round_trip_through_the_reference(
    tiny: Callable[..., AlignConfig], tmp_path: Path
) -> None:
    config = tiny(text={"hidden_act": "relu"}, vision={"depthwise_padding": (1, 3)})
    config.write(tmp_path / "config.json")
    reference = transformers.AlignConfig.from_pretrained(tmp_path)
    assert reference.text_config.hidden_act == "relu"
    assert reference.vision_config.depthwise_padding == [1, 3]
    reference.save_pretrained(tmp_path / "again")
    assert AlignConfig.read(tmp_path / "again" / "config.json") == config


def test_from_text_vision_configs() -> None:
    text, vision = TextConfig(vocab_size=77), VisionConfig(out_channels=(16, 24, 40, 80, 112, 8, 9))
    joint = AlignConfig.from_text_vision_configs(text, vision, projection_dim=24)
    assert joint == AlignConfig(text_config=text, vision_config=vision, projection_dim=24)


def test_sizes_of_b7() -> None:
    vision = VisionConfig()
    assert [vision.channels(n) for n in (32, *vision.out_channels)] == [
        *(64, 32, 48, 80, 160, 224, 384, 640)
    ]
    assert [vision.repeats(n) for n in vision.num_block_repeats] == [4, 7, 7, 10, 10, 13, 4]
    assert vision.embedding_size == 640
    # 12, the nearest multiple, is more than 10 % below 17, so the next one is taken.
    assert VisionConfig(width_coefficient=1.0, depth_divisor=12).channels(17) == 24
    assert VisionConfig(width_coefficient=0.1).channels(24) == 8


BROKEN = {
    "model_type": {"model_type": "clip"},
    "projection_dim": {"projection_dim": 512},
    "temperature_init_value": {"temperature_init_value": "warm"},
    "text_config": {"text_config": {"position_embedding_type": "relative_key"}},
    "num_attention_heads": {"text_config": {"num_attention_heads": 7}},
    "num_attention_heads cannot be 0": {"text_config": {"num_attention_heads": 0}},
    "hidden_size": {"text_config": {"hidden_size": "768"}},
    "vocab_size": {"text_config": {"vocab_size": -1}},
    "num_hidden_layers": {"text_config": {"num_hidden_layers": True}},
    "layer_norm_eps": {"text_config": {"layer_norm_eps": float("nan")}},
    "text_config: hidden_act": {"text_config": {"hidden_act": "prelu"}},
    "vision_config: hidden_act": {"vision_config": {"hidden_act": ["swish"]}},
    "pooling_type": {"vision_config": {"pooling_type": "median"}},
    "kernel_sizes, in_channels": {"vision_config": {"strides": [1, 2]}},
    "strides": {"vision_config": {"strides": [1, 2, 2, 2, 1, "2", 1]}},
    "kernel_sizes": {"vision_config": {"kernel_sizes": 3}},
    "num_block_repeats": {"vision_config": {"num_block_repeats": [0] * 7}},
    "depth_divisor": {"vision_config": {"depth_divisor": 0}},
    "depth_coefficient": {"vision_config": {"depth_coefficient": float("inf")}},
    "width_coefficient": {"vision_config": {"width_coefficient": "2"}},
}


@pytest.mark.parametrize("named", BROKEN)
def test_errors_name_the_field(named: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(BROKEN[named]))
    with pytest.raises(CheckpointError, match=named) as caught:
        AlignConfig.read(tmp_path / "config.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"text_config": [1]}'])
def test_a_file_that_is_not_a_config_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json is not a config of an ALIGN model"):
        AlignConfig.read(tmp_path / "config.json")


@pytest.mark.parametrize("square", [(), (1,), (1, 3)])
def test_the_smallest_picture_is_the_smallest_that_the_tower_takes(
    square: tuple[int, ...], tiny: Callable[..., AlignConfig]
) -> None:
    config = tiny(vision={"depthwise_padding": square, "strides": (2, 2, 2)}).vision_config
    tower = EfficientNet(config).eval()
    taken = []
    for side in range(1, 40):
        try:
            config.require_room(side, 40)
            taken.append(side)
        except CheckpointError:
            with pytest.raises(RuntimeError):
                tower(torch.zeros(1, 3, side, 40))
        else:
            tower(torch.zeros(1, 3, side, 40))
    assert 1 < len(taken) < 38
