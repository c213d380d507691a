"""The text tower in NumPy against the one in torch."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from encoder import load_encoder
from encoder.backends.first_texts import FirstTexts
from encoder.backends.torch_backend import TorchBackend
from encoder.checkpoint import load
from encoder.model.align import AlignModel
from encoder.model.config import ACTIVATIONS, AlignConfig
from encoder.preprocess import Preprocessor
from encoder.towers import save

TEXTS = ["a photo of a cat", "dogs walking on the beach", "", "the dog " * 60, "cafe"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("act", ["gelu", "gelu_new", "relu"])
def test_it_is_the_tower_in_torch(
    act: str,
    dtype: torch.dtype,
    tiny: Callable[..., AlignConfig],
    enliven: Callable[[AlignModel, Tensor], AlignModel],
    tokenizer_json: str,
    tmp_path: Path,
) -> None:
    model = enliven(AlignModel(tiny(text={"hidden_act": act})), torch.rand(4, 3, 64, 64))
    save(tmp_path, model, Preprocessor(size=(64, 64)), tokenizer_json, dtype=dtype)
    checkpoint = load(tmp_path)
    ids, mask = checkpoint.tokenizer(TEXTS)
    found = FirstTexts(checkpoint.config, checkpoint.weights)(ids, mask)
    wanted = TorchBackend(checkpoint, torch.device("cpu")).text_features(ids, mask)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_it_takes_the_common_activations_only(tiny: Callable[..., AlignConfig]) -> None:
    able = {name for name in ACTIVATIONS if FirstTexts.can(tiny(text={"hidden_act": name}))}
    assert {ACTIVATIONS[name] for name in able} == {"gelu", "gelu_tanh", "relu"}


def test_the_first_questions_load_no_torch(folder: Path) -> None:
    """Nor do they in a second program, which knows that the weights were checked."""
    code = f"""
import sys
from encoder import load_encoder
encoder = load_encoder({str(folder)!r}, device="auto")
first = encoder.encode_texts(["a photo of a cat"])
print("torch" in sys.modules)
many = encoder.encode_texts(["a photo of a cat"] * 200)
print("torch" in sys.modules, abs(first - many).max() < 1e-5)
"""
    for file in folder.iterdir():  # files that just changed are checked each time
        os.utime(file, (1e9, 1e9))
    load_encoder(str(folder), device="cpu")  # so that the second one knows
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "True"]
