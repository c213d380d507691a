import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from encoder import AlignConfig, AlignModel, EncoderError, Preprocessor, TextConfig, VisionConfig
from encoder.checkpoint import load
from encoder.scenes import HELD_OUT, make_scene
from encoder.training import SceneData, TrainingSettings, mini_config, train, train_tokenizer
from encoder.training.data import SHARES
from encoder.training.loop import MIN_TEMPERATURE, learning_rate

CAPTIONS = [f"{colour} {kind}" for colour in ("red", "green", "blue") for kind in ("cat", "dog")]
TOKENIZER = train_tokenizer(CAPTIONS, vocab_size=200)
PREPROCESSOR = Preprocessor(size=(16, 16))
SETTINGS = TrainingSettings(
    steps=6, batch_size=4, warmup=2, save_every=2, learning_rate=3e-3, paraphrase_steps=3
)


class Blots:
    """`count` pictures, each a colour of its own."""

    def __init__(self, count: int = 12) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def pixels(self, indices: Sequence[int]) -> np.ndarray:
        return np.stack(
            [np.full((16, 16, 3), (20 * i, 255 - 20 * i, 9), np.uint8) for i in indices]
        )

    def caption(self, index: int, rng: np.random.Generator, progress: float) -> str:
        whole = CAPTIONS[index % 6]
        return whole if self.count == 6 or rng.random() < 0.5 else whole[:3]


def tiny_model(seed: int = 0, dropout: float = 0.1) -> AlignModel:
    torch.manual_seed(seed)
    return AlignModel(
        AlignConfig(
            TextConfig(
                vocab_size=TOKENIZER.get_vocab_size(),
                hidden_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                intermediate_size=32,
                max_position_embeddings=16,
                hidden_dropout_prob=dropout,
            ),
            VisionConfig(
                width_coefficient=1.0,
                depth_coefficient=1.0,
                kernel_sizes=(3, 3),
                in_channels=(8, 8),
                out_channels=(8, 16),
                strides=(1, 2),
                num_block_repeats=(1, 1),
                expand_ratios=(1, 2),
            ),
            projection_dim=16,
            temperature_init_value=0.1,
        )
    )


def run(out: Path, settings: TrainingSettings = SETTINGS, **rest: object) -> list[float]:
    losses: list[float] = []
    model = rest.pop("model", None) or tiny_model()
    data = rest.pop("data", None) or Blots()
    train(
        model,
        PREPROCESSOR,
        TOKENIZER.to_str(),
        data,
        settings,
        out,
        report=lambda step: losses.append(step.loss),
        **rest,
    )
    return losses


def test_resume_after_an_interruption_gives_the_same_losses_and_weights(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole")
    assert len(set(whole)) == 6

    class Killed(Exception):
        pass

    seen: list[float] = []

    def die(step: object) -> None:
        seen.append(step.loss)
        if len(seen) == 3:  # one step after the state of step 2 was saved
            raise Killed

    with pytest.raises(Killed):
        train(
            tiny_model(),
            PREPROCESSOR,
            TOKENIZER.to_str(),
            Blots(),
            SETTINGS,
            tmp_path / "cut",
            report=die,
        )
    rest = run(tmp_path / "cut", model=tiny_model(seed=99))
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

    def evaluate(encoder: object) -> dict[str, float]:
        seen.append(encoder.fingerprint)
        return {"recall": 0.25}

    run(tmp_path, evaluate=evaluate, stored_as=torch.float16)
    assert len(seen) == len(set(seen)) == 3
    assert seen[-1] == load(tmp_path).fingerprint
    log = (tmp_path / "training" / "log.jsonl").read_text().splitlines()
    recalls = [json.loads(line)["recall"] for line in log]
    assert recalls == [None, {"recall": 0.25}] * 3


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


def test_captions_are_drawn_for_how_far_the_training_is(tmp_path: Path) -> None:
    asked: list[float] = []

    class Asked(Blots):
        def caption(self, index: int, rng: np.random.Generator, progress: float) -> str:
            asked.append(progress)
            return super().caption(index, rng, progress)

    train(tiny_model(), PREPROCESSOR, TOKENIZER.to_str(), Asked(), SETTINGS, tmp_path)
    sides = [2 if step < SETTINGS.paraphrase_steps else 1 for step in range(6)]
    assert asked == [step / 6 for step in range(6) for _ in range(sides[step] * 4)]


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
    settings = TrainingSettings(steps=110, warmup=10, learning_rate=2.0)
    rates = [learning_rate(step, settings) for step in range(110)]
    assert rates[:10] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert rates[10] == 2.0
    assert rates[60] == pytest.approx(2.0 * (0.01 + 0.99 * 0.5))
    assert rates[109] == pytest.approx(2.0 * (0.01 + 0.99 * (1 + math.cos(math.pi * 0.99)) / 2))


def test_weight_decay_spares_norms_biases_and_the_temperature() -> None:
    from encoder.training.loop import _parameter_groups

    model = tiny_model()
    decayed, spared = _parameter_groups(model, 0.05)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.05, 0.0)
    names = {id(p): name for name, p in model.named_parameters()}
    spared_names = {names[id(p)] for p in spared["params"]}
    assert {n for n in names.values() if n.endswith(".bias") or "norm" in n.lower()} <= spared_names
    assert "temperature" in spared_names
    assert "text_projection.weight" in {names[id(p)] for p in decayed["params"]}


def test_an_epoch_shows_every_picture_once() -> None:
    from encoder.training.loop import _batch

    epoch = [i for step in range(3) for i in _batch(12, 4, seed=7, step=step)]
    assert sorted(epoch) == list(range(12))
    assert epoch != [i for step in range(3, 6) for i in _batch(12, 4, seed=7, step=step)]
    assert _batch(12, 4, seed=7, step=1) == _batch(12, 4, seed=7, step=1)


def test_scene_data_is_the_prepared_picture_and_never_shows_a_held_out_pair(tmp_path: Path) -> None:
    drawn: list[int] = []
    data = SceneData(3, PREPROCESSOR, tmp_path / "cache.npy", first_seed=5, advance=drawn.append)
    assert (len(data), sum(drawn)) == (3, 3)
    expected = PREPROCESSOR.prepare(make_scene(6, "seen").draw(224))
    assert np.array_equal(data.pixels([1])[0], expected)

    rng = np.random.default_rng(0)
    scene = make_scene(6, "seen")
    full, *others = scene.captions()
    sorts = ({scene.full_caption(), full}, {scene.brief_caption()}, set(others))
    known = set().union(*sorts)
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

    for seed in range(200):
        pairs = {(thing.colour, thing.kind) for thing in make_scene(seed, "seen").things}
        assert not pairs & HELD_OUT

    again = SceneData(3, PREPROCESSOR, tmp_path / "cache.npy", first_seed=5, advance=drawn.append)
    assert sum(drawn) == 3  # the cache was used
    assert np.array_equal(again.pixels([0, 2]), data.pixels([0, 2]))


def test_the_vocabulary_spells_unknown_words_instead_of_losing_them() -> None:
    encoding = TOKENIZER.encode("Red  CAT")
    assert encoding.tokens == ["[CLS]", "red", "cat", "[SEP]"]
    spelt = TOKENIZER.encode("zebra 42").tokens
    assert "[UNK]" not in spelt
    assert "".join(spelt[1:-1]).replace("##", "") == "zebra42"
    assert TOKENIZER.encode("猫").tokens == ["[CLS]", "[UNK]", "[SEP]"]
    assert [TOKENIZER.token_to_id(t) for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")] == [0, 1, 2, 3]


def test_align_mini_is_small() -> None:
    with torch.device("meta"):
        model = AlignModel(mini_config(1024))
    parameters = sum(p.numel() for p in model.parameters())
    assert 2_500_000 < parameters < 4_000_000
