"""Training raises recall. Each test takes minutes."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from encoder import load_encoder
from encoder.datasets import drawn_scenes, prepare_pictures
from encoder.training import (
    Augmentation,
    CaptionedPictures,
    DrawnViews,
    TrainingSettings,
    claim,
    from_checkpoint,
    train,
)
from retrieval.cli import main
from retrieval.evaluation import dataset_recall
from tests.retrieval.styles import negatives


def half_precision() -> bool:
    """Whether the processor has bfloat16 instructions. They save a third of the time."""
    cpu = Path("/proc/cpuinfo")
    return cpu.exists() and "avx512_bf16" in cpu.read_text()


@pytest.mark.slow
def test_two_thousand_scenes_teach_a_model_from_nothing(tmp_path: Path) -> None:
    """Recall@10 of all five captions over 500 unseen scenes. Chance alone gives 0.02."""
    out = tmp_path / "run"
    numbers = ("--pictures", "2000", "--val-pictures", "500", "--image-size", "64")
    precision = ("--precision", "bfloat16" if half_precision() else "float32")
    asked = ["train", "scenes", "--from", "scratch", *numbers, *precision, "--out", str(out)]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 0, result.output
    unseen = drawn_scenes(500, "test")
    found = dataset_recall(unseen)(load_encoder(str(out), device="cpu"))
    log = (out / "training" / "log.jsonl").read_text().splitlines()
    print(f"{len(log)} steps, loss {json.loads(log[-1])['loss']:.2f}, {dict(found)}")
    assert found["text_to_image@10"] > 0.5


@pytest.mark.slow
def test_fine_tuning_teaches_a_drawing_style(tmp_path: Path) -> None:
    """align-mini finds little among negatives of scenes. After training on negatives it finds more
    among them, and a little less among plain scenes."""
    plain, style = drawn_scenes(300, "test"), negatives(drawn_scenes(300, "test"))
    on_plain, on_style = dataset_recall(plain), dataset_recall(style)
    before = load_encoder("align-mini", device="cpu")
    start = from_checkpoint("align-mini")
    augmentation = Augmentation(start.preprocessor, min_area=0.8, flip=True)
    shown = negatives(drawn_scenes(1000, "train"))
    pictures = prepare_pictures(shown, augmentation.kept, claim(tmp_path))
    settings = TrainingSettings(
        steps=90,
        batch_size=64,
        learning_rate=3e-4,
        warmup=10,
        precision="bfloat16" if half_precision() else "float32",
        save_every=90,
    )
    train(start, CaptionedPictures(DrawnViews(pictures, augmentation)), settings, tmp_path)
    after = load_encoder(str(tmp_path), device="cpu")
    figures = {
        (name, when): measure(encoder)["text_to_image@10"]
        for name, measure in (("negatives", on_style), ("plain", on_plain))
        for when, encoder in (("before", before), ("after", after))
    }
    print(figures)
    assert figures["negatives", "before"] < 0.4
    assert figures["negatives", "after"] > 0.7
    # Fine-tuning always loses something. A model that forgot everything would have 0.03.
    assert 0.6 < figures["plain", "after"] < figures["plain", "before"]
