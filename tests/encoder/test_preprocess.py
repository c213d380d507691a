"""Preprocessing compared with the reference's PIL image processor, and its config file."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from encoder.errors import CheckpointError
from encoder.preprocess import Preprocessor

PUBLISHED = {
    "crop_size": {"height": 289, "width": 289},
    "do_center_crop": True,
    "do_normalize": False,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "EfficientNetImageProcessor",
    "image_std": [0.5, 0.5, 0.5],
    "include_top": False,
    "resample": 2,
    "rescale_factor": 0.00784313725490196,
    "rescale_offset": True,
    "size": {"height": 346, "width": 346},
}
"""The `preprocessor_config.json` of kakaobrain/align-base."""

VARIANTS: dict[str, dict[str, Any]] = {
    "align-base": PUBLISHED,
    "class defaults": {},
    "not square": {**PUBLISHED, "size": {"height": 60, "width": 91}, "crop_size": 55},
    "odd crop": {"do_center_crop": True, "crop_size": {"height": 101, "width": 64}},
    "crop above size": {**PUBLISHED, "size": 50, "crop_size": {"height": 61, "width": 80}},
    "crop above and below": {**PUBLISHED, "size": 50, "crop_size": {"height": 75, "width": 31}},
    "raw": {"do_rescale": False, "do_normalize": False, "include_top": False},
    "statistics": {"image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.25], "resample": 1},
}

Read = Callable[[dict[str, Any]], Preprocessor]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def write_and_read(values: dict[str, Any]) -> Preprocessor:
        path = tmp_path / "preprocessor_config.json"
        path.write_text(json.dumps(values))
        return Preprocessor.read(path)

    return write_and_read


def ours(preprocessor: Preprocessor, picture: Image.Image) -> "np.ndarray[Any, Any]":
    return preprocessor.to_floats(preprocessor.prepare(picture)[None])


def theirs(values: dict[str, Any], picture: Image.Image) -> "np.ndarray[Any, Any]":
    values = {k: v for k, v in values.items() if k != "image_processor_type"}
    for name in ("size", "crop_size"):
        if isinstance(values.get(name), int):
            values[name] = {"height": values[name], "width": values[name]}
    processor = transformers.EfficientNetImageProcessorPil(**values)
    return np.asarray(processor(picture, return_tensors="np").pixel_values)


@pytest.mark.parametrize("name", VARIANTS)
def test_equals_the_reference(name: str, read: Read, pictures: list[Image.Image]) -> None:
    values = VARIANTS[name]
    for picture in pictures:  # wide, tall, odd and even, one of exactly the crop's size
        found, wanted = ours(read(values), picture), theirs(values, picture)
        assert found.dtype == np.float32
        scale = max(1, np.abs(wanted).max())  # 255 for raw pixels: rounding grows with the numbers
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6 * scale)
        assert np.ptp(found) > 0.5


@pytest.mark.parametrize("size", [(289, 289), (288, 400), (1, 1), (2, 700), (700, 3)])
def test_unresized_crops_equal_the_reference(size: tuple[int, int], read: Read) -> None:
    """Without the resize, pictures may be smaller or larger than the crop, in width and height."""
    values = {**PUBLISHED, "do_resize": False, "crop_size": {"height": 290, "width": 37}}
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    picture = Image.fromarray(pixels)
    found = ours(read(values), picture)
    assert found.shape == (1, 3, 290, 37)
    np.testing.assert_allclose(found, theirs(values, picture), rtol=0, atol=1e-6)


def test_photographs_equal_the_reference(data_dir: Path, read: Read) -> None:
    files = sorted((data_dir / "coco_photos" / "images").glob("*.jpg"))[:8]
    assert len(files) == 8
    for file in files:
        photo = Image.open(file).convert("RGB")
        np.testing.assert_allclose(
            ours(read(PUBLISHED), photo), theirs(PUBLISHED, photo), rtol=0, atol=1e-6
        )


def test_what_the_published_file_says(read: Read, align_base: Preprocessor) -> None:
    found = read(PUBLISHED)
    assert found == align_base
    black, white = (Image.new("RGB", (5, 9), c) for c in ("black", "white"))
    assert np.unique(ours(found, black)).tolist() == [-1]
    assert np.unique(ours(found, white)).tolist() == [1]


def test_defaults_are_the_reference_classes() -> None:
    reference = transformers.EfficientNetImageProcessorPil().to_dict()
    assert reference.pop("image_processor_type") == "EfficientNetImageProcessor"
    for name in ("size", "crop_size"):
        reference[name] = (reference[name]["height"], reference[name]["width"])
    assert dataclasses.asdict(Preprocessor()) == reference


@pytest.mark.parametrize("name", VARIANTS)
def test_round_trip(name: str, read: Read, tmp_path: Path) -> None:
    made = read(VARIANTS[name])
    made.write(tmp_path / "again.json")
    assert Preprocessor.read(tmp_path / "again.json") == made


def test_the_reference_reads_what_is_written(
    tmp_path: Path, align_base: Preprocessor, pictures: list[Image.Image]
) -> None:
    align_base.write(tmp_path / "preprocessor_config.json")
    processor = transformers.EfficientNetImageProcessorPil.from_pretrained(tmp_path)
    pixels = processor(pictures[0], return_tensors="pt").pixel_values
    torch.testing.assert_close(
        torch.from_numpy(ours(align_base, pictures[0])), pixels, atol=1e-6, rtol=0
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "3",
        '{"size": {"shortest_edge": 289}}',
        '{"size": {"height": 0, "width": 289}}',
        '{"size": {"height": -5, "width": 289}}',
        '{"crop_size": "289"}',
        '{"resample": 99}',
        '{"resample": "bilinear"}',
        '{"image_mean": 0.5}',
        '{"image_mean": [0.5, 0.5]}',
        '{"image_std": ["a", "b", "c"]}',
        '{"rescale_factor": "a"}',
    ],
)
def test_a_bad_file_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "preprocessor_config.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json is not a preprocessor"):
        Preprocessor.read(path)


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "preprocessor_config.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckpointError, match="is not a preprocessor config"):
        Preprocessor.read(path)


@pytest.mark.parametrize(
    ("preprocessor", "words"),
    [
        (
            Preprocessor(size=(346, 400), resample=2, do_center_crop=True, crop_size=(280, 289)),
            "400x346 bilinear, centre crop 289x280",
        ),
        (Preprocessor(), "346x346 bicubic"),
        (Preprocessor(do_resize=False), "as it is"),
    ],
)
def test_in_words(preprocessor: Preprocessor, words: str) -> None:
    assert preprocessor.in_words() == words


def test_another_size_keeps_the_share_of_the_crop() -> None:
    cut = Preprocessor(size=(346, 346), do_center_crop=True, crop_size=(289, 289)).at_size(578)
    assert (cut.size, cut.crop_size, cut.shape) == ((692, 692), (578, 578), (578, 578, 3))
    whole = Preprocessor(size=(224, 224)).at_size(288)
    assert (whole.size, whole.shape) == ((288, 288), (288, 288, 3))
