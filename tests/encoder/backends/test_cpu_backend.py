"""Which of the ways to compute on a processor is taken, and that they agree."""

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from encoder.backends import cpu_backend, openvino_backend
from encoder.backends.batches import MOST, WIDEST, cpu_batch
from encoder.backends.cpu_backend import CpuBackend
from encoder.backends.torch_backend import TorchBackend
from encoder.bundled import BUNDLED
from encoder.checkpoint import Checkpoint, load
from encoder.preprocess import Preprocessor
from encoder.protocol import Pixels

pytestmark = pytest.mark.openvino


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def prepared(checkpoint: Checkpoint, pictures: list[Image.Image]) -> Pixels:
    return np.stack([checkpoint.preprocessor.prepare(picture) for picture in pictures])


def without_the_extra(
    folder: Path, pictures: list[Image.Image], patch: pytest.MonkeyPatch, *, bfloat16: bool
) -> tuple[Checkpoint, Pixels]:
    patch.setattr(openvino_backend, "is_installed", lambda: False)
    patch.setattr(cpu_backend, "has_bfloat16", lambda: bfloat16)
    checkpoint = load(folder)
    return checkpoint, prepared(checkpoint, pictures)


def exactly(checkpoint: Checkpoint, pixels: Pixels) -> np.ndarray:
    return TorchBackend(checkpoint, torch.device("cpu")).image_features(pixels)


def cosines(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(some, axis=1) * np.linalg.norm(others, axis=1)
    return np.asarray((some * others).sum(1) / lengths)


@pytest.mark.parametrize("name", BUNDLED)
def test_openvino_and_torch_agree(name: str, pictures: list[Image.Image]) -> None:
    checkpoint = load(BUNDLED[name])
    pixels = prepared(checkpoint, pictures)
    backend = CpuBackend(checkpoint)
    found = backend.image_features(pixels)
    assert backend.precision.endswith(" on cpu with OpenVINO")
    least = 1 - 1e-6 if backend.precision.startswith("float32") else cpu_backend.AGREEMENT
    assert cosines(found, exactly(checkpoint, pixels)).min() > least


class Wrong(openvino_backend.OpenVinoImages):
    """As on a processor for which OpenVINO computes nonsense."""

    asked = 0

    def __call__(self, pixels: Pixels) -> np.ndarray:
        type(self).asked += 1
        return super().__call__(pixels[:, ::-1])


class Failing(openvino_backend.OpenVinoImages):
    asked = 0

    def __call__(self, pixels: Pixels) -> np.ndarray:
        type(self).asked += 1
        raise RuntimeError("no such instruction")


@pytest.mark.parametrize("kind", [Wrong, Failing])
def test_what_disagrees_with_torch_is_not_used_again(
    kind: type[Wrong | Failing],
    saved: Path,
    pictures: list[Image.Image],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cpu_backend, "has_bfloat16", lambda: False)
    monkeypatch.setattr(openvino_backend, "OpenVinoImages", kind)
    checkpoint = load(saved)
    pixels = prepared(checkpoint, pictures)
    wanted = exactly(checkpoint, pixels)
    for _ in range(2):
        backend = CpuBackend(checkpoint)
        np.testing.assert_array_equal(backend.image_features(pixels), wanted)
        np.testing.assert_array_equal(backend.image_features(pixels), wanted)
        assert backend.precision == "float32 on cpu"
    assert kind.asked == 1


def test_bfloat16_is_used_where_it_agrees(
    saved: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On any processor: it computes bfloat16, only slowly, where it has no units for it."""
    checkpoint, pixels = without_the_extra(saved, pictures, monkeypatch, bfloat16=True)
    half = TorchBackend(checkpoint, torch.device("cpu"), half=True).image_features(pixels)
    agreement = cosines(half, exactly(checkpoint, pixels))[: cpu_backend.CHECKED].min()
    for least, precision in ((agreement - 1e-6, "bfloat16"), (agreement + 1e-6, "float32")):
        monkeypatch.setattr(cpu_backend, "AGREEMENT", least)
        monkeypatch.setattr(cpu_backend, "recall", lambda *key: None)
        backend = CpuBackend(checkpoint)
        backend.image_features(pixels)
        assert backend.precision == f"{precision} on cpu"


def test_the_precision_is_known_before_the_first_picture(saved: Path) -> None:
    assert " on cpu" in CpuBackend(load(saved)).precision


def test_without_the_extra_torch_computes(
    saved: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, pixels = without_the_extra(saved, pictures, monkeypatch, bfloat16=False)
    backend = CpuBackend(checkpoint)
    assert backend.precision == "float32 on cpu"
    np.testing.assert_array_equal(backend.image_features(pixels), exactly(checkpoint, pixels))


def test_a_program_without_the_extra_decides_nothing_for_one_with_it(
    saved: Path, pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = load(saved)
    pixels = prepared(checkpoint, pictures)
    with monkeypatch.context() as patch:
        patch.setattr(openvino_backend, "is_installed", lambda: False)
        CpuBackend(checkpoint).image_features(pixels)
    backend = CpuBackend(checkpoint)
    backend.image_features(pixels)
    assert backend.precision.endswith(" with OpenVINO")


def test_nothing_is_told_to_anybody(saved: Path, tmp_path: Path) -> None:
    """OpenVINO's package reports each import, unless it is kept from it."""
    code = f"""
import socket, sys
asked = []
socket.getaddrinfo = lambda *arguments, **options: asked.append(arguments)
import numpy as np
from encoder import load_encoder
encoder = load_encoder({str(saved)!r}, device="cpu")
encoder.encode_images([np.zeros((65, 65, 3), np.uint8)])
assert "OpenVINO" in encoder.precision, encoder.precision
print(asked, [name for name in sys.modules if name.startswith("openvino_telemetry")])
"""
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[] []\n"
    assert not list(home.iterdir())


def test_threads_and_forks(saved: Path, pictures: list[Image.Image]) -> None:
    checkpoint = load(saved)
    pixels = prepared(checkpoint, pictures)
    backend = CpuBackend(checkpoint)
    wanted = backend.image_features(pixels)
    found: list[bool] = []

    def work() -> None:
        for _ in range(20):
            found.append(np.array_equal(backend.image_features(pixels), wanted))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 80
    child = os.fork()
    if not child:
        os._exit(0 if np.array_equal(backend.image_features(pixels), wanted) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert np.array_equal(backend.image_features(pixels), wanted)


def test_a_batch_follows_the_model() -> None:
    sizes = {name: cpu_batch(load(folder)) for name, folder in BUNDLED.items()}
    assert 1 <= sizes["align-small"] < sizes["align-mini"] <= MOST
    for name, size in sizes.items():
        checkpoint = load(BUNDLED[name])
        side = checkpoint.preprocessor.size[0]
        one = 4 * checkpoint.config.vision_config.widest(side, side)
        assert size == MOST or one * size <= WIDEST < one * (size + 1)


@pytest.mark.parametrize(
    "rules",
    [
        Preprocessor(),
        Preprocessor(do_rescale=False, include_top=False),
        Preprocessor(do_normalize=False, rescale_offset=True, rescale_factor=1 / 127.5),
        Preprocessor(image_mean=(0.1, 0.5, 0.7), image_std=(0.2, 0.3, 0.4)),
    ],
)
def test_floats_are_made_on_the_device_as_the_preprocessor_makes_them(
    rules: Preprocessor, saved: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3), np.uint8)
    checkpoint = replace(load(saved), preprocessor=rules)
    found = TorchBackend(checkpoint, torch.device("cpu"))._floats(pixels)
    assert found.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(found.numpy(), rules.to_floats(pixels))
