"""`load_encoder` on a small checkpoint, and the names that the package exports."""

import ast
import subprocess
import sys
import threading
from importlib import import_module
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import encoder as door
from encoder.backends import choice
from encoder.checkpoint import load
from encoder.errors import EncoderError
from encoder.fake import FakeEncoder
from encoder.inference import AlignEncoder, load_encoder

MANY = 150
"""More than one batch."""
TEXTS = ["a photo of a cat", "dogs walking on the beach", "", "the dog " * 60, "cafe"]


@pytest.fixture(scope="module")
def small(saved: Path) -> AlignEncoder:
    return load_encoder(str(saved), device="cpu")


def test_what_an_encoder_says_about_itself(small: AlignEncoder, saved: Path) -> None:
    checkpoint = load(saved)
    assert small.name == str(saved)
    assert small.revision is None
    assert small.fingerprint == checkpoint.fingerprint
    assert small.dim == checkpoint.config.projection_dim == 24
    assert small.temperature == pytest.approx(0.07)
    assert small.precision.split(" on ")[1].startswith("cpu")


def test_rows_are_the_normalised_features_of_the_model(
    small: AlignEncoder, saved: Path, pictures: list[Image.Image]
) -> None:
    """Compared with the slow way: one by one, norms not folded, by the model itself."""
    checkpoint = load(saved)
    images, texts = small.encode_images(pictures), small.encode_texts(TEXTS)
    for rows, inputs in ((images, pictures), (texts, TEXTS)):
        assert rows.dtype == np.float32
        assert rows.shape == (len(inputs), 24)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
        assert np.max(rows @ rows.T - 2 * np.eye(len(rows))) < 0.99
    with torch.inference_mode():
        for row, picture in zip(images, pictures, strict=True):
            pixels = checkpoint.preprocessor.prepare(picture)[None]
            floats = torch.from_numpy(checkpoint.preprocessor.to_floats(pixels))
            wanted = F.normalize(checkpoint.model.get_image_features(floats), dim=-1)[0]
            np.testing.assert_allclose(row, wanted.numpy(), rtol=0, atol=1e-5)
        for row, text in zip(texts, TEXTS, strict=True):
            ids, mask = (torch.from_numpy(x) for x in checkpoint.tokenizer([text]))
            wanted = F.normalize(checkpoint.model.get_text_features(ids, mask), dim=-1)[0]
            np.testing.assert_allclose(row, wanted.numpy(), rtol=0, atol=1e-5)


def test_no_input_gives_no_rows(small: AlignEncoder) -> None:
    for rows in (small.encode_images([]), small.encode_texts([])):
        assert (rows.shape, rows.dtype) == ((0, 24), np.dtype(np.float32))


def test_batches_change_nothing(
    small: AlignEncoder, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [pictures[i % len(pictures)] for i in range(MANY)]
    once = small.encode_images(pictures)
    wanted = once[[i % len(pictures) for i in range(len(many))]]
    np.testing.assert_allclose(small.encode_images(many), wanted, rtol=0, atol=1e-5)
    np.testing.assert_allclose(small.encode_images(many[::-1]), wanted[::-1], rtol=0, atol=1e-5)
    texts = [TEXTS[i % len(TEXTS)] for i in range(MANY)]
    monkeypatch.setattr("encoder.backends.batches.SORTED", 64)
    alone = np.concatenate([small.encode_texts([text]) for text in TEXTS])
    wanted = alone[[i % len(TEXTS) for i in range(len(texts))]]
    np.testing.assert_allclose(small.encode_texts(texts), wanted, rtol=0, atol=1e-5)


def test_prepared_pixels_are_the_pictures(small: AlignEncoder, pictures: list[Image.Image]) -> None:
    pixels = [small.prepare(picture) for picture in pictures]
    assert {(p.shape, p.dtype.name) for p in pixels} == {((65, 65, 3), "uint8")}
    wanted = small.encode_images(pictures)
    assert np.array_equal(small.encode_images(pixels), wanted)
    assert np.array_equal(small.encode_images([*pictures[:2], *pixels[2:]]), wanted)


def test_prepare_in_threads(small: AlignEncoder, pictures: list[Image.Image]) -> None:
    wanted = [small.prepare(picture) for picture in pictures]
    found: list[list[bool]] = []

    def work() -> None:
        for _ in range(10):
            made = [small.prepare(picture) for picture in pictures]
            found.append([np.array_equal(a, b) for a, b in zip(made, wanted, strict=True)])

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[True] * len(pictures)] * 60


def test_encoding_leaves_the_gradients_off(
    small: AlignEncoder, pictures: list[Image.Image]
) -> None:
    small.encode_images(pictures[:1])
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("device", ["potato", "", "meta", "cuda:999", "cuda:-1"])
def test_a_device_that_is_not_there(device: str, saved: Path) -> None:
    with pytest.raises(EncoderError, match=r"there is no device .* use --device auto, cpu, cuda"):
        load_encoder(str(saved), device=device)


def test_the_device_is_checked_before_the_model() -> None:
    with pytest.raises(EncoderError, match="there is no device 'potato' here"):
        load_encoder("/no/such/folder", device="potato")


def test_auto_takes_cuda_if_there_is_one(saved: Path) -> None:
    wanted = "cuda" if torch.cuda.is_available() else "cpu"
    assert f" on {wanted}" in load_encoder(str(saved)).precision


@pytest.mark.parametrize("driver", [False, True])
def test_torch_is_asked_for_a_device_only_where_there_is_a_driver(
    driver: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(choice, "_DEVICES", (tmp_path.name if driver else "none-*",))
    monkeypatch.setattr(choice, "Path", lambda folder: tmp_path.parent)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: asked.append(True) or True)
    assert choice.choose_device("auto") == ("cuda" if driver else "cpu")
    assert asked == [True] * driver


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_is_near_the_cpu(
    saved: Path, small: AlignEncoder, pictures: list[Image.Image]
) -> None:
    fast = load_encoder(str(saved), device="cuda")
    pairs = (
        (fast.encode_images(pictures), small.encode_images(pictures)),
        (fast.encode_texts(TEXTS), small.encode_texts(TEXTS)),
    )
    for found, wanted in pairs:  # bfloat16 has eight bits
        assert found.dtype == np.float32
        assert (found * wanted).sum(1).min() > 0.99


def test_exported_members() -> None:
    homes = door._HOMES
    assert sorted(door.__all__) == door.__all__
    assert sorted(chain.from_iterable(homes.values())) == door.__all__
    for module, names in homes.items():
        for name in names:
            assert getattr(door, name) is getattr(import_module(f"encoder.{module}"), name)
    with pytest.raises(AttributeError, match="module 'encoder' has no attribute 'nothing'"):
        door.nothing  # noqa: B018 - the look-up is what is tested


def test_type_checkers_see_the_same_members() -> None:
    (block,) = (
        node
        for node in ast.parse(Path(str(door.__file__)).read_text("utf-8")).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {
        str(line.module).removeprefix("encoder."): tuple(alias.name for alias in line.names)
        for line in block.body
        if isinstance(line, ast.ImportFrom)
    }
    assert seen == door._HOMES


def test_importing_the_package_is_light() -> None:
    """The package, its errors, its protocol and its fake load neither torch nor tokenizers."""
    code = """
import sys, encoder
encoder.Encoder, encoder.AlignError
heavy = {"torch", "tokenizers", "safetensors", "huggingface_hub"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
encoder.FakeEncoder, encoder.read_picture
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
encoder.AlignModel
assert "torch" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_one_text_is_never_taken_for_its_letters(small: AlignEncoder) -> None:
    for encoder in (small, FakeEncoder()):
        one, listed = encoder.encode_texts("a red boat"), encoder.encode_texts(["a red boat"])
        np.testing.assert_array_equal(one, listed)
        assert one.shape == (1, encoder.dim)
