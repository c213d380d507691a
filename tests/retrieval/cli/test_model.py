"""`align model check`: what a model is known to give, and an installation that gives it or not."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from click.testing import CliRunner
from PIL import Image

from encoder import Preprocessor, load_encoder
from encoder.bundled import BUNDLED, facts
from encoder.proof import ALIGN_BASE, TEXTS, known_of, pattern
from retrieval.cli import main

pytestmark = pytest.mark.openvino


def check(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["model", "check", *arguments, "--device", "cpu"])


@pytest.mark.parametrize("name", BUNDLED)
def test_this_installation_is_right(name: str) -> None:
    result = check(name)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "right  tokens"
    assert "right  logits in float32 on cpu" in lines
    assert any(line.endswith(" on cpu with OpenVINO") for line in lines)
    assert {line.split()[0] for line in lines} == {"right"}


@pytest.mark.parametrize("name", BUNDLED)
def test_the_known_values_are_those_of_transformers(name: str) -> None:
    folder, known = BUNDLED[name], known_of(name)
    model = transformers.AlignModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    processor = transformers.EfficientNetImageProcessorPil.from_pretrained(folder)
    tokens = tokenizer(list(TEXTS), padding=True, return_tensors="pt")
    pixels = processor(pattern(), return_tensors="pt")
    with torch.inference_mode():
        logits = model(**tokens, **pixels).logits_per_image[0].tolist()
    assert known.logits == pytest.approx(logits, abs=1e-4)
    assert known.token_ids == tokens["input_ids"].tolist()
    assert abs(logits[0] - logits[1]) > 0.5  # else a wrong picture would do as well


def test_a_broken_installation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Preprocessor.prepare

    def upside_down(self: Preprocessor, picture: Image.Image) -> Any:
        return real(self, picture)[::-1].copy()

    monkeypatch.setattr(Preprocessor, "prepare", upside_down)
    result = check("align-mini")
    assert result.exit_code == 1
    assert "right  tokens" in result.stdout
    assert "WRONG  logits in float32 on cpu\n       found  " in result.stdout
    assert "computes something else than it must" in result.stderr
    said = [json.loads(line) for line in check("align-mini", "--json").stdout.splitlines()]
    assert [line["right"] for line in said] == [True, False, False]
    assert said[1]["wanted"] == facts("align-mini").logits


def test_align_base_needs_its_picture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the weights of another model, whose values are wrong for it."""
    other = load_encoder("align-mini", device="cpu")
    other.name = ALIGN_BASE
    monkeypatch.setattr("encoder.load_encoder", lambda *arguments: other)
    result = check()
    assert result.exit_code == 1
    assert "WRONG  tokens" in result.stdout
    assert "wanted [101, 1037, 6302, 1997, 1037, 4937, 102] [101, 1037, 6302" in result.stdout
    assert "give --picture FILE with 000000039769.jpg" in result.stderr
    pattern().save(tmp_path / "a.png")
    with_picture = check("--picture", str(tmp_path / "a.png"))
    assert "wanted 9.7093 3.4679" in with_picture.stdout
    assert "give --picture" not in with_picture.stderr


def test_a_model_of_which_nothing_is_known() -> None:
    result = check("some/model")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "align: no values are known that some/model must give; they are of kakaobrain/align-base,"
        " align-small, align-mini\n"
    )


def test_align_base_where_it_cannot_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    result = check()
    assert (result.exit_code, result.stdout) == (1, "")
    assert "or check another model, as in align model check align-small\n" in result.stderr
    assert "--model" not in result.stderr
