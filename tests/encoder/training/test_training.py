import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from encoder import AlignModel, EncoderError
from encoder.checkpoint import load
from encoder.datasets import drawn_scenes, labelled_folder, prepare_pictures
from encoder.inference import AlignEncoder
from encoder.scenes import HELD_OUT, make_scene
from encoder.tokenizer import Tokenizer
from encoder.training import (
    Augmentation,
    DrawnViews,
    LabelledPictures,
    SceneData,
    Start,
    Step,
    TrainingSettings,
    mini_config,
    scene_captions,
)
from encoder.training.align_mini import SHARES
from encoder.training.batches import batch_indices, batches
from encoder.training.distributed import World
from encoder.training.optimizer import make_optimizer, schedule
from encoder.training.step import MIN_TEMPERATURE, Trainer
from tests.encoder.tiny import PREPROCESSOR, SETTINGS, TOKENIZER, Blots, run, tiny_model


def test_resume_after_an_interruption_gives_the_same_losses_and_weights(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    assert len(set(whole)) == 6

    class Killed(Exception):
        pass

    seen: list[float] = []

    def die(step: Step) -> None:
        seen.append(step.loss)
        if len(seen) == 3:  # one step after the state of step 2 was saved
            raise Killed

    with pytest.raises(Killed):
        run(tmp_path / "cut", report=die)
    rest = run(tmp_path / "cut")
    assert seen[:2] + rest == whole

    first, second = (load(tmp_path / name) for name in ("whole", "cut"))
    assert first.fingerprint == second.fingerprint
    log = (tmp_path / "cut" / "training" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [1, 2, 3, 4, 5, 6]
    assert [json.loads(line)["loss"] for line in log] == whole


def test_resuming_with_other_settings_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    other = TrainingSettings(steps=8, batch_size=4, warmup=2, save_every=2, learning_rate=3e-3)
    with pytest.raises(EncoderError, match="written with other settings"):
        run(tmp_path, other)
    changes: list[dict[str, Any]] = [
        {"data": Blots(11)},
        {"model": tiny_model(seed=1)},
        {"measured": "other pictures"},
    ]
    for change in changes:
        with pytest.raises(EncoderError, match="with other pictures or captions, to train or"):
            run(tmp_path, **change)


def test_a_finished_run_trains_no_further(tmp_path: Path) -> None:
    run(tmp_path)
    before = load(tmp_path).fingerprint
    assert run(tmp_path) == []
    assert load(tmp_path).fingerprint == before


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    settings = TrainingSettings(
        steps=60, batch_size=6, warmup=5, save_every=60, learning_rate=1e-2, weight_decay=0.0
    )
    losses = run(tmp_path, settings, model=tiny_model(dropout=0.0), data=Blots(6))
    assert np.mean(losses[-10:]) < np.mean(losses[:5]) - 0.5


def test_evaluation_sees_the_stored_weights_at_every_save(tmp_path: Path) -> None:
    seen = []
    settings = replace(SETTINGS, stored_as="float16", stored_size=80)

    def evaluate(encoder: AlignEncoder) -> dict[str, float]:
        seen.append(encoder.fingerprint)
        assert encoder.prepare(Image.new("RGB", (9, 9))).shape == (80, 80, 3)
        return {"recall": 0.25}

    run(tmp_path, settings, evaluate=evaluate)
    assert len(seen) == len(set(seen)) == 3
    assert seen[-1] == load(tmp_path).fingerprint
    log = (tmp_path / "training" / "log.jsonl").read_text().splitlines()
    recalls = [json.loads(line)["recall"] for line in log]
    assert recalls == [None, {"recall": 0.25}] * 3


def test_the_checkpoint_is_the_one_with_the_highest_rsum(tmp_path: Path) -> None:
    seen: list[str] = []
    better: list[bool] = []

    def evaluate(encoder: AlignEncoder) -> dict[str, float]:
        seen.append(encoder.fingerprint)
        return {"rsum": [10.0, 30.0, 20.0][len(seen) - 1]}

    run(tmp_path, evaluate=evaluate, report=lambda step: better.append(step.best))
    assert len(set(seen)) == 3
    assert load(tmp_path).fingerprint == seen[1]
    assert better == [False, True, False, True, False, False]


def test_the_best_is_remembered_over_an_interruption(tmp_path: Path) -> None:
    rsums = iter([30.0, 20.0, 10.0])
    first: list[str] = []

    def evaluate(encoder: AlignEncoder) -> dict[str, float]:
        first.append(encoder.fingerprint)
        return {"rsum": next(rsums)}

    def die(step: Step) -> None:
        if step.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, evaluate=evaluate, report=die)
    run(tmp_path, evaluate=evaluate)
    assert len(set(first)) == 3
    assert load(tmp_path).fingerprint == first[0]


def test_a_loss_that_is_not_a_number_stops_the_training(tmp_path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.text_projection.bias.fill_(float("nan"))
    with pytest.raises(EncoderError, match="loss of step 1 is nan"):
        run(tmp_path, model=model)


@pytest.mark.parametrize("what", ["weight", "statistic"])
def test_weights_that_are_not_numbers_never_replace_the_best(tmp_path: Path, what: str) -> None:
    """They do not replace the state either: they are noticed before the evaluation."""
    run(tmp_path, evaluate=lambda encoder: {"rsum": 300.0})
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*.safetensors")}
    model = tiny_model()
    settings = replace(SETTINGS, steps=1, save_every=1)
    trainer = Trainer(model, PREPROCESSOR, settings, World())
    with torch.no_grad():
        if what == "weight":
            model.text_projection.weight[0, 0] = math.nan
        else:
            buffers = dict(model.vision_model.named_buffers())
            buffers["embeddings.batchnorm.running_var"][0] = math.inf
    with pytest.raises(EncoderError, match=r"of step 1 is .*: training has diverged"):
        trainer.check_weights(0)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.safetensors")} == kept


def test_steps_that_are_too_large_end_in_a_clear_error(tmp_path: Path) -> None:
    wild = replace(SETTINGS, learning_rate=1e30, warmup=0, paraphrase_steps=0, save_every=1)
    with pytest.raises(EncoderError, match="training has diverged; start again with a lower"):
        run(tmp_path, wild, evaluate=lambda encoder: {"rsum": 600.0})


def test_paraphrase_steps_train_the_text_tower_alone(tmp_path: Path) -> None:
    model, fresh = tiny_model(), tiny_model()
    settings = TrainingSettings(
        steps=4, batch_size=4, warmup=1, save_every=4, learning_rate=3e-3, paraphrase_steps=4
    )
    run(tmp_path, settings, model=model)
    before = dict(fresh.state_dict())
    changed = {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}
    assert not any(name.startswith("vision_model.") for name in changed)
    assert {"text_projection.weight", "text_model.encoder.layer.0.output.dense.weight"} <= changed


def test_captions_depend_on_the_progress_of_the_training(tmp_path: Path) -> None:
    asked: list[float] = []

    class Asked(Blots):
        def caption(self, index: int, rng: np.random.Generator, progress: float) -> str:
            asked.append(progress)
            return super().caption(index, rng, progress)

    run(tmp_path, data=Asked())
    sides = [2 if step < SETTINGS.paraphrase_steps else 1 for step in range(6)]
    assert sorted(asked) == [step / 6 for step in range(6) for _ in range(sides[step] * 4)]


def test_too_few_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="12 pictures are fewer than one batch of 13"):
        run(tmp_path, TrainingSettings(batch_size=13))


def test_temperature_has_a_floor(tmp_path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.temperature.fill_(0.001)
    run(tmp_path, model=model)
    assert float(model.temperature.detach()) >= MIN_TEMPERATURE


def test_learning_rate_warms_up_and_falls_as_a_cosine() -> None:
    settings = TrainingSettings(steps=110, warmup=10)
    shares = [schedule(step, settings) for step in range(110)]
    assert shares[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert shares[10] == 1.0
    assert shares[60] == pytest.approx(0.01 + 0.99 * 0.5)
    assert shares[109] == pytest.approx(0.01 + 0.99 * (1 + math.cos(math.pi * 0.99)) / 2)


def test_weight_decay_spares_norms_biases_and_the_temperature() -> None:
    model = tiny_model()
    groups = make_optimizer(model, TrainingSettings(weight_decay=0.05)).param_groups
    names = {id(p): name for name, p in model.named_parameters()}
    spared = {names[id(p)] for g in groups if g["weight_decay"] == 0 for p in g["params"]}
    decayed = {names[id(p)] for g in groups if g["weight_decay"] == 0.05 for p in g["params"]}
    assert spared | decayed == set(names.values())
    assert {n for n in names.values() if n.endswith(".bias") or "norm" in n.lower()} <= spared
    assert "temperature" in spared
    assert {"text_projection.weight", "vision_model.embeddings.convolution.weight"} <= decayed


def test_an_epoch_shows_every_picture_once() -> None:
    epoch = [i for step in range(3) for i in batch_indices(12, 4, seed=7, step=step)]
    assert sorted(epoch) == list(range(12))
    assert epoch != [i for step in range(3, 6) for i in batch_indices(12, 4, seed=7, step=step)]
    assert batch_indices(12, 4, seed=7, step=1) == batch_indices(12, 4, seed=7, step=1)


class Numbers(Blots):
    """Pictures that show their number, from `begin` on."""

    def __init__(self, begin: int, count: int) -> None:
        super().__init__(count)
        self.begin = begin

    def view(self, index: int, caption: str, rng: np.random.Generator) -> np.ndarray:
        return np.full((16, 16, 3), self.begin + index, np.uint8)


def test_labelled_pictures_are_spread_over_a_batch(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(TOKENIZER.to_str())
    first, second = Numbers(0, 12), Numbers(100, 9)
    settings = replace(SETTINGS, batch_size=7, labelled=3, paraphrase_steps=0)
    made = list(batches(first, Tokenizer(tmp_path, 16), settings, 0, World(), second))
    again = list(batches(first, Tokenizer(tmp_path, 16), settings, 2, World(), second))
    drawn, rest = (
        [np.asarray(part.others)[:, 0, 0, 0].tolist() for (part,) in some] for some in (made, again)
    )
    assert rest == drawn[2:]
    for batch in drawn:
        assert [n >= 100 for n in batch] == [False, False, True, False, True, False, True]
    shown = [n for batch in drawn for n in batch]
    assert sorted(shown) == sorted([*range(12), *range(12), *range(100, 109), *range(100, 109)])


def test_labels_in_the_words_of_templates(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for n, name in enumerate(("1_red cat", "2_red cat", "3_dog")):
        Image.new("RGB", (16, 16), (50 * n, 0, 0)).save(tmp_path / f"{name}.png")
    pictures = prepare_pictures(labelled_folder(tmp_path), PREPROCESSOR, tmp_path / "run")
    views = DrawnViews(pictures, Augmentation(PREPROCESSOR))
    data = LabelledPictures(views, ["a {}!", "{} {x}"])
    rng = np.random.default_rng(0)
    assert len(data) == 2
    assert {data.caption(1, rng, 0.0) for _ in range(50)} == {"a red cat!", "red cat {x}"}
    assert {int(data.view(1, "", rng)[0, 0, 0]) for _ in range(50)} == {0, 50}
    assert {int(data.view(0, "", rng)[0, 0, 0]) for _ in range(50)} == {100}
    other = LabelledPictures(views, ["{}"])
    assert data.identity != other.identity


@pytest.mark.parametrize(
    ("batch_size", "labelled", "second", "complaint"),
    [
        (7, 3, None, "fewer than 3 labels"),
        (7, 3, Blots(2), "fewer than 3 labels"),
        (7, 1, Blots(9), "there must be 2 at least"),
        (4, 3, Blots(9), "and 2 others"),
    ],
)
def test_too_few_labelled_pictures_or_others(
    batch_size: int, labelled: int, second: Blots | None, complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(EncoderError, match=complaint):
        run(tmp_path, replace(SETTINGS, batch_size=batch_size, labelled=labelled), second=second)


def test_the_data_of_align_mini_are_whole_pictures_and_captions_in_shares(tmp_path: Path) -> None:
    dataset = drawn_scenes(3, "train")
    data = SceneData(prepare_pictures(dataset, PREPROCESSOR, tmp_path))
    rng = np.random.default_rng(0)
    assert len(data) == 3
    expected = PREPROCESSOR.prepare(make_scene(1, "seen").draw(224))
    assert np.array_equal(data.view(1, "", rng), expected)

    scene = make_scene(1, "seen")
    full, *others = scene.captions()
    sorts = ({scene.full_caption(), full}, {scene.brief_caption()}, set(others))
    known = set().union(*sorts)
    assert known <= set(scene_captions(dataset))
    drawn_captions = []
    for progress, shares in zip((0, 0.499, 0.5, 0.999), np.repeat(SHARES, 2, axis=0), strict=True):
        some = [data.caption(1, rng, progress) for _ in range(400)]
        plain = [caption for caption in some if caption in known]
        assert set(plain) == known
        found = [np.mean([caption in sort for caption in plain]) for sort in sorts]
        assert found == pytest.approx(shares, abs=0.09)
        drawn_captions += some
    nonsense = set(drawn_captions) - known
    assert (
        80 < sum(caption in nonsense for caption in drawn_captions) < 260
    )  # about one caption in ten gets a made-up word
    for caption in nonsense:
        words = caption.split(" ")
        assert any(" ".join(words[:i] + words[i + 1 :]) in known for i in range(len(words)))


def test_training_scenes_never_show_a_held_out_pair() -> None:
    for seed in range(200):
        pairs = {(thing.colour, thing.kind) for thing in make_scene(seed, "seen").things}
        assert not pairs & HELD_OUT


def test_the_vocabulary_spells_unknown_words_instead_of_losing_them() -> None:
    encoding = TOKENIZER.encode("Red  CAT")
    assert encoding.tokens == ["[CLS]", "red", "cat", "[SEP]"]
    spelt = TOKENIZER.encode("zebra 42").tokens
    assert "[UNK]" not in spelt
    assert "".join(spelt[1:-1]).replace("##", "") == "zebra42"
    assert TOKENIZER.encode("猫").tokens == ["[CLS]", "[UNK]", "[SEP]"]
    assert [TOKENIZER.token_to_id(t) for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")] == [0, 1, 2, 3]


def test_a_large_model_takes_its_batch_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    start = Start(tiny_model(), PREPROCESSOR, "")
    assert start.micro_batch(128) is None
    monkeypatch.setattr("encoder.training.starts.LARGE", 1000)
    assert [start.micro_batch(share) for share in (128, 60, 7, 9, 11)] == [8, 6, 7, 3, 1]


def test_align_mini_is_small() -> None:
    with torch.device("meta"):
        model = AlignModel(mini_config(1024))
    parameters = sum(p.numel() for p in model.parameters())
    assert 2_500_000 < parameters < 4_000_000


def test_two_trainings_into_one_folder(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from encoder.training import World, alone
with alone(Path({str(tmp_path)!r}), World()):
    print("in", flush=True)
    sys.stdin.read()
"""
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "in\n"
    with pytest.raises(EncoderError, match=r"another program trains into .*: wait for it"):
        run(tmp_path)
    other.communicate("")
    assert len(run(tmp_path)) == SETTINGS.steps


def test_permutations_are_drawn_once_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    real = np.random.default_rng

    def counting(seed: tuple[int, ...]) -> np.random.Generator:
        drawn.append(seed[-1])
        return real(seed)

    monkeypatch.setattr(np.random, "default_rng", counting)
    seen = [batch_indices(1000, 10, 12_345, step) for step in range(200)]
    assert drawn == [0, 1]
    for epoch in (seen[:100], seen[100:]):
        assert sorted(index for batch in epoch for index in batch) == list(range(1000))
    assert seen[:100] != seen[100:]
