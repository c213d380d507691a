"""One step compared with a slow way: the model's own loss on the whole batch."""

import copy
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn

from encoder import AlignModel, EncoderError
from encoder.checkpoint import load
from encoder.model.align import contrastive_loss
from encoder.model.efficientnet import Block
from encoder.tokenizer import Tokenizer
from encoder.training import Classes, Step, TrainingSettings, World
from encoder.training.batches import Part, batches
from encoder.training.step import Trainer
from tests.encoder.tiny import PREPROCESSOR, TOKENIZER, Blots, run, tiny_model

WHOLE = TrainingSettings(
    steps=4, batch_size=8, warmup=0, learning_rate=1e-2, max_gradient_norm=1e9, weight_decay=0.0
)


class Doubles:
    """The preprocessor in double precision."""

    def to_floats(self, pixels: np.ndarray) -> np.ndarray:
        return PREPROCESSOR.to_floats(pixels).astype(np.float64)


DOUBLES: Any = Doubles()


def parts_of(settings: TrainingSettings, tmp_path: Path) -> list[Part]:
    (tmp_path / "tokenizer.json").write_text(TOKENIZER.to_str())
    made: Any = batches(Blots(), Tokenizer(tmp_path, 16), settings, 0, World(), Blots(9))
    with closing(made):
        first: list[Part] = next(made)
    return first


def pixels_of(part: Part) -> np.ndarray:
    assert isinstance(part.others, np.ndarray)
    return part.others


def with_still_norms(model: AlignModel) -> AlignModel:
    """Make its batch norms use their running statistics in training too."""
    norms: list[Any] = [norm for norm in model.modules() if isinstance(norm, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.normal_(norm.running_mean, std=0.1)
        norm.eval()
        norm.train = lambda mode=True, norm=norm: norm
    return model


def gradients(model: AlignModel) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def assert_alike(
    found: dict[str, Tensor], wanted: dict[str, Tensor], tolerance: float = 1e-4
) -> None:
    """Equal within `tolerance` times a tensor's largest value. Key biases are zero in theory, so
    this value counts as at least a thousandth of the largest value of all tensors."""
    assert found.keys() == wanted.keys()
    largest = max(float(t.abs().max()) for t in wanted.values())
    for name, tensor in wanted.items():
        scale = max(float(tensor.abs().max()), 1e-3 * largest)
        assert float((found[name] - tensor).abs().max()) < tolerance * scale, name


@pytest.mark.parametrize("micro_batch", [None, 1, 2, 4])
def test_loss_and_gradients_equal_those_of_the_whole_batch(
    micro_batch: int | None, tmp_path: Path
) -> None:
    settings = replace(WHOLE, micro_batch=micro_batch)
    model = with_still_norms(tiny_model(dropout=0.0)).double()
    oracle = copy.deepcopy(model)
    (whole,) = parts_of(WHOLE, tmp_path)
    floats = torch.from_numpy(DOUBLES.to_floats(pixels_of(whole)))
    ids, mask = map(torch.from_numpy, whole.texts)
    wanted = oracle(ids, floats, mask, return_loss=True).loss
    wanted.backward()

    trainer = Trainer(model, DOUBLES, settings, World())
    loss = trainer.step(0, parts_of(settings, tmp_path))
    assert loss == pytest.approx(wanted.item(), abs=1e-12)
    assert_alike(gradients(model), gradients(oracle), 1e-9)


@pytest.mark.parametrize("micro_batch", [None, 2])
def test_labelled_pictures_are_compared_with_each_other_alone(
    micro_batch: int | None, tmp_path: Path
) -> None:
    settings = replace(WHOLE, micro_batch=micro_batch, labelled=3, labelled_weight=0.25)
    model = with_still_norms(tiny_model(dropout=0.0)).double()
    oracle = copy.deepcopy(model)
    (whole,) = parts_of(replace(settings, micro_batch=None), tmp_path)
    floats = torch.from_numpy(DOUBLES.to_floats(pixels_of(whole)))
    ids, mask = map(torch.from_numpy, whole.texts)
    first, second = (
        oracle(ids[some], floats[some], mask[some], return_loss=True).loss
        for some in ([0, 1, 3, 4, 6], [2, 5, 7])
    )
    wanted = first + second / 4
    wanted.backward()

    loss = Trainer(model, DOUBLES, settings, World()).step(0, parts_of(settings, tmp_path))
    assert loss == pytest.approx(wanted.item(), abs=1e-12)
    assert_alike(gradients(model), gradients(oracle), 1e-9)


@pytest.mark.parametrize("micro_batch", [None, 2])
def test_loss_and_gradients_equal_those_of_the_reference_library(
    micro_batch: int | None, tmp_path: Path
) -> None:
    settings = replace(WHOLE, micro_batch=micro_batch)
    model = with_still_norms(tiny_model(dropout=0.0)).double()
    config = transformers.AlignConfig.from_dict(model.config.to_dict())
    reference = transformers.AlignModel(config).double().eval()
    assert reference.load_state_dict(model.state_dict(), strict=False).unexpected_keys == []
    (whole,) = parts_of(WHOLE, tmp_path)
    ids, mask = map(torch.from_numpy, whole.texts)
    wanted = reference(
        input_ids=ids,
        pixel_values=torch.from_numpy(DOUBLES.to_floats(pixels_of(whole))),
        attention_mask=mask,
        return_loss=True,
    ).loss
    wanted.backward()

    loss = Trainer(model, DOUBLES, settings, World()).step(0, parts_of(settings, tmp_path))
    assert loss == pytest.approx(wanted.item(), abs=1e-6)
    named = reference.named_parameters()
    # its attention has a softmax in float32
    assert_alike(gradients(model), {n: p.grad for n, p in named if "pooler" not in n}, 1e-5)


def test_dropout_is_the_same_in_both_passes(tmp_path: Path) -> None:
    settings = replace(WHOLE, micro_batch=2)
    parts = parts_of(settings, tmp_path)
    model = with_still_norms(tiny_model(dropout=0.4))
    trainer = Trainer(model, PREPROCESSOR, settings, World())
    model.train()
    embedded = [trainer._embed(0, part, (0, 1)) for part in parts]
    texts, images = (F.normalize(torch.cat(side), dim=-1) for side in zip(*embedded, strict=True))
    wanted = contrastive_loss(texts @ images.T / model.temperature)
    wanted.backward()
    expected = gradients(model)

    assert trainer.step(0, parts) == pytest.approx(wanted.item(), abs=1e-6)
    assert_alike(gradients(model), expected)
    still = trainer.step(0, parts_of(replace(settings, seed=1), tmp_path))
    assert still != pytest.approx(wanted.item(), abs=1e-3)


def test_statistics_become_the_mean_over_micro_batches(tmp_path: Path) -> None:
    settings = replace(WHOLE, micro_batch=4)
    parts = parts_of(settings, tmp_path)
    model = tiny_model()
    alone = []
    for part in parts:
        other = copy.deepcopy(model).train()
        other.get_image_features(torch.from_numpy(PREPROCESSOR.to_floats(pixels_of(part))))
        alone.append(dict(other.vision_model.named_buffers()))
    # dropout changes the later norms, so only those before it are compared
    Trainer(model, PREPROCESSOR, settings, World()).step(0, parts)
    found = dict(model.vision_model.named_buffers())
    for name in ("embeddings.batchnorm.running_mean", "embeddings.batchnorm.running_var"):
        wanted = (alone[0][name] + alone[1][name]) / 2
        torch.testing.assert_close(found[name], wanted)
        assert not torch.equal(alone[0][name], alone[1][name])


@pytest.mark.parametrize("micro_batch", [None, 2])
@pytest.mark.parametrize(
    ("freeze", "prefixes"),
    [("image", ("vision_model.",)), ("text", ("text_model.", "text_projection."))],
)
def test_a_frozen_tower_keeps_its_bits(
    freeze: Literal["image", "text"],
    prefixes: tuple[str, ...],
    micro_batch: int | None,
    tmp_path: Path,
) -> None:
    settings = replace(WHOLE, freeze=freeze, micro_batch=micro_batch)
    model = tiny_model()
    before = copy.deepcopy(model.state_dict())
    trainer = Trainer(model, PREPROCESSOR, settings, World())
    for number in range(2):
        trainer.step(number, parts_of(settings, tmp_path))
    moved = {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}
    assert not [name for name in moved if name.startswith(prefixes)]
    others = {"image": "text_projection.weight", "text": "vision_model.embeddings.batchnorm.weight"}
    assert {"temperature", others[freeze]} <= moved


def test_frozen_towers_embed_as_in_evaluation(tmp_path: Path) -> None:
    model = tiny_model(dropout=0.5)
    (part,) = parts_of(WHOLE, tmp_path)
    floats = torch.from_numpy(PREPROCESSOR.to_floats(pixels_of(part)))
    with torch.no_grad():
        wanted = model.eval().get_image_features(floats)
    trainer = Trainer(model, PREPROCESSOR, replace(WHOLE, freeze="image"), World())
    trainer.step(0, [part])
    with torch.no_grad():
        assert torch.equal(model.vision_model(floats), wanted)


@pytest.mark.parametrize("micro_batch", [None, 2])
@pytest.mark.parametrize("stages", [1, 2])
def test_frozen_stages_keep_their_bits(
    stages: int, micro_batch: int | None, tmp_path: Path
) -> None:
    settings = replace(WHOLE, frozen_stages=stages, micro_batch=micro_batch)
    model = tiny_model()
    kept = sum(model.config.vision_config.num_block_repeats[:stages])
    before = copy.deepcopy(model.state_dict())
    trainer = Trainer(model, PREPROCESSOR, settings, World())
    for number in range(2):
        trainer.step(number, parts_of(settings, tmp_path))
    moved = {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}
    blocks = {int(n.split(".")[3]) for n in moved if n.startswith("vision_model.encoder.blocks.")}
    assert blocks == set(range(kept, len(model.vision_model.encoder.blocks)))
    assert not [name for name in moved if name.startswith("vision_model.embeddings.")]
    assert "text_projection.weight" in moved


@pytest.mark.parametrize("micro_batch", [None, 2])
def test_frozen_norms_are_those_of_evaluation(micro_batch: int | None, tmp_path: Path) -> None:
    settings = replace(WHOLE, frozen_norms=True, micro_batch=micro_batch)
    still, model = with_still_norms(tiny_model()), tiny_model()
    model.load_state_dict(still.state_dict())
    before = copy.deepcopy(model.state_dict())
    losses = [
        Trainer(each, PREPROCESSOR, made, World()).step(0, parts_of(made, tmp_path))
        for each, made in ((model, settings), (still, replace(settings, frozen_norms=False)))
    ]
    assert losses[0] == losses[1]
    after = model.state_dict()
    assert all(torch.equal(t, after[n]) for n, t in before.items() if "running_" in n)
    norm = "vision_model.embeddings.batchnorm.weight"
    assert not torch.equal(before[norm], after[norm])


def test_more_frozen_stages_than_there_are_or_of_a_frozen_tower() -> None:
    model = tiny_model()
    stages = len(model.config.vision_config.num_block_repeats)
    with pytest.raises(EncoderError, match=f"has {stages} stages"):
        Trainer(model, PREPROCESSOR, replace(WHOLE, frozen_stages=stages + 1), World())
    with pytest.raises(EncoderError, match="frozen as a whole"):
        TrainingSettings(freeze="image", frozen_stages=1)


def test_paraphrases_and_a_frozen_text_tower_are_refused() -> None:
    with pytest.raises(EncoderError, match="cannot be frozen too"):
        TrainingSettings(freeze="text", paraphrase_steps=1)


@pytest.mark.parametrize(
    ("rates", "moves"),
    [
        (
            {"image_learning_rate": 1e-5, "text_learning_rate": 1e-3},
            {
                "vision_model.embeddings.convolution.weight": 1e-5,
                "text_projection.weight": 1e-3,
                "text_model.encoder.layer.0.output.dense.weight": 1e-3,
                "temperature": 1e-2,
            },
        ),
        (
            {"image_learning_rate": 1e-5, "head_learning_rate": 1e-4},
            {
                "vision_model.encoder.blocks.1.projection.project_conv.weight": 1e-5,
                "vision_model.encoder.blocks.2.projection.project_conv.weight": 1e-4,
                "vision_model.encoder.blocks.3.projection.project_conv.weight": 1e-4,
                "text_projection.weight": 1e-4,
                "text_model.encoder.layer.0.output.dense.weight": 1e-2,
            },
        ),
    ],
)
def test_towers_and_heads_have_learning_rates_of_their_own(
    rates: dict[str, Any], moves: dict[str, float], tmp_path: Path
) -> None:
    settings = replace(WHOLE, **rates)
    model = tiny_model()
    before = copy.deepcopy(model.state_dict())
    Trainer(model, PREPROCESSOR, settings, World()).step(0, parts_of(settings, tmp_path))
    # AdamW's first step moves each weight with a gradient by the learning rate
    for name, rate in moves.items():
        moved = float((model.state_dict()[name] - before[name]).abs().max())
        assert moved == pytest.approx(rate, rel=0.05), name


def test_gradients_are_clipped(tmp_path: Path) -> None:
    settings = replace(WHOLE, max_gradient_norm=0.01)
    model = tiny_model()
    Trainer(model, PREPROCESSOR, settings, World()).step(0, parts_of(settings, tmp_path))
    norm = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    assert float(norm) == pytest.approx(0.01, rel=1e-3)


def test_the_running_mean_of_the_weights_is_stored(tmp_path: Path) -> None:
    settings = replace(WHOLE, steps=4, save_every=4, ema=0.3)
    model = tiny_model()
    mean = {n: t.clone() for n, t in model.state_dict().items()}

    def follow(step: Step) -> None:
        kept = min(0.3, step.step / (9 + step.step))
        for name, tensor in model.state_dict().items():
            mean[name] = kept * mean[name] + (1 - kept) * tensor

    run(tmp_path, settings, model=model, report=follow)
    stored = load(tmp_path).model.state_dict()
    floats = [name for name in stored if stored[name].is_floating_point()]
    assert any(name.endswith("running_var") for name in floats)
    for name in floats:
        torch.testing.assert_close(stored[name], mean[name])
    last = model.state_dict()["text_projection.weight"]
    assert not torch.allclose(stored["text_projection.weight"], last)


@pytest.mark.parametrize(
    ("size", "micro_batch", "processes"), [(8, 3, 1), (8, None, 3), (8, 4, 4), (2, None, 4)]
)
def test_a_batch_that_cannot_be_divided_is_refused(
    size: int, micro_batch: int | None, processes: int
) -> None:
    settings = TrainingSettings(batch_size=size, micro_batch=micro_batch)
    with pytest.raises(EncoderError, match=f"a batch of {size} cannot be divided evenly"):
        settings.parts(processes)


def test_the_shares_of_two_processes_are_the_micro_batches_of_one(tmp_path: Path) -> None:
    settings = replace(WHOLE, micro_batch=4)
    one = parts_of(settings, tmp_path)
    tokenizer = Tokenizer(tmp_path, 16)
    for rank in range(2):
        made: Any = batches(Blots(), tokenizer, settings, 0, World(rank, 2))
        with closing(made):
            (part,) = next(made)
        assert part.number == one[rank].number == rank
        for mine, wanted in zip(part.texts, one[rank].texts, strict=True):
            assert np.array_equal(mine, wanted)
        assert np.array_equal(part.others, one[rank].others)


@pytest.mark.parametrize("micro_batch", [None, 2])
def test_pictures_agree_with_a_classifier_through_the_names_of_its_classes(
    micro_batch: int | None, tmp_path: Path
) -> None:
    settings = replace(WHOLE, micro_batch=micro_batch, labelled=2, class_weight=0.3)
    model = with_still_norms(tiny_model(dropout=0.0)).double()
    oracle = copy.deepcopy(model)
    (whole,) = parts_of(replace(settings, micro_batch=None), tmp_path)
    floats = torch.from_numpy(DOUBLES.to_floats(pixels_of(whole)))
    ids, mask = map(torch.from_numpy, whole.texts)
    captioned = [place for place, source in enumerate(settings.sources()) if source == 0]
    labelled = [place for place, source in enumerate(settings.sources()) if source == 1]
    assert len(whole.indices) == len(captioned) == 6

    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), size=12).astype(np.float32)
    classes = Classes(("red cat", "dog", "a green"), probabilities)
    tokens = Tokenizer(tmp_path, 16)(classes.names)
    names = F.normalize(oracle.get_text_features(*map(torch.from_numpy, tokens)).detach(), dim=-1)
    first, second = (
        oracle(ids[some], floats[some], mask[some], return_loss=True).loss
        for some in (captioned, labelled)
    )
    seen = F.normalize(oracle.get_image_features(floats[captioned]), dim=-1)
    told = torch.from_numpy(probabilities[list(whole.indices)])
    surprise = -(told * (seen @ names.T / oracle.temperature).log_softmax(-1)).sum(1).mean()
    wanted = first + second / 2 + 0.3 * surprise
    wanted.backward()

    trainer = Trainer(model, DOUBLES, settings, World(), classes)
    trainer.read_names(tokens)
    loss = trainer.step(0, parts_of(settings, tmp_path))
    assert loss == pytest.approx(wanted.item(), abs=1e-6)  # the probabilities are float32
    assert_alike(gradients(model), gradients(oracle), 1e-6)


def maps_of(model: AlignModel, part: Part) -> np.ndarray:
    """What the stem and the first stage make of the pictures of a part, (b, h, w, c)."""
    x = torch.from_numpy(PREPROCESSOR.to_floats(pixels_of(part)))
    with torch.no_grad():
        for module in model.eval().vision_model.first_stages(1):
            x = module(x)
    return x.permute(0, 2, 3, 1).numpy()


def assert_same_step(
    model: AlignModel, settings: TrainingSettings, parts: list[Part], kept: list[Part]
) -> dict[str, Tensor]:
    """A step on what is kept has the loss and the gradients of one on `parts`; the gradients."""
    both = []
    for some, used in ((0, parts), (3, kept)):
        trainer = Trainer(
            copy.deepcopy(model), PREPROCESSOR, replace(settings, kept_views=some), World()
        )
        loss = trainer.step(0, used)
        found = {n: p.grad for n, p in trainer.model.named_parameters() if p.grad is not None}
        both.append((loss, found))
    (loss, wanted), (other, found) = both
    assert other == pytest.approx(loss, abs=1e-6)
    assert_alike(found, wanted)
    return found


@pytest.mark.parametrize("micro_batch", [None, 2])
def test_kept_views_train_as_the_pictures_do(micro_batch: int | None, tmp_path: Path) -> None:
    settings = replace(WHOLE, micro_batch=micro_batch, frozen_stages=1)
    model = tiny_model(dropout=0.0)
    parts = parts_of(settings, tmp_path)
    kept = [replace(part, others=maps_of(model, part)) for part in parts]
    found = assert_same_step(model, settings, parts, kept)
    assert "vision_model.encoder.blocks.2.projection.project_conv.weight" in found


def test_kept_views_need_frozen_stages() -> None:
    with pytest.raises(EncoderError, match="say how many are frozen"):
        TrainingSettings(kept_views=2)


def test_frozen_towers_train_what_projects_them_alone(tmp_path: Path) -> None:
    settings = replace(WHOLE, freeze="towers")
    parts = parts_of(settings, tmp_path)
    model = tiny_model(dropout=0.3)
    before = copy.deepcopy(model.state_dict())
    Trainer(model, PREPROCESSOR, settings, World()).step(0, parts)
    moved = {n for n, tensor in model.state_dict().items() if not torch.equal(tensor, before[n])}
    last = ("vision_model.encoder.blocks.2.", "vision_model.encoder.blocks.3.")
    assert {name for name in moved if not name.startswith(last)} == {
        *("temperature", "text_projection.weight", "text_projection.bias")
    }
    assert any(name.startswith(last) for name in moved)


@pytest.mark.parametrize("micro_batch", [None, 2])
def test_kept_texts_and_views_train_as_frozen_towers_do(
    micro_batch: int | None, tmp_path: Path
) -> None:
    settings = replace(WHOLE, micro_batch=micro_batch, freeze="towers", captions=2)
    model = tiny_model(dropout=0.2)
    parts = parts_of(settings, tmp_path)
    model.eval()
    kept = []
    with torch.no_grad():
        for part in parts:
            states = model.text_model(*map(torch.from_numpy, part.texts))[:, 0].numpy()
            kept.append(replace(part, texts=states, others=maps_of(model, part)))
    for block in model.vision_model.last_stage():
        block.dropout = None  # it would draw other numbers
    assert_same_step(model, settings, parts, kept)


def test_texts_of_like_length_share_their_padding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = parts_of(WHOLE, tmp_path)
    model = tiny_model(dropout=0.0)
    seen: list[tuple[int, ...]] = []
    results = []
    for size in (32, 3):
        monkeypatch.setattr("encoder.training.step.TEXTS_AT_ONCE", size)
        trainer = Trainer(copy.deepcopy(model), PREPROCESSOR, WHOLE, World())
        trainer.model.text_model.register_forward_pre_hook(
            lambda _, given: seen.append(tuple(given[0].shape))
        )
        results.append((trainer.step(0, parts), gradients(trainer.model)))
    assert results[1][0] == pytest.approx(results[0][0], abs=1e-6)
    assert_alike(results[1][1], results[0][1])
    lengths = sorted(parts[0].texts[1].sum(1))
    assert seen == [(8, lengths[7]), (3, lengths[2]), (3, lengths[5]), (2, lengths[7])]
    assert lengths[2] < lengths[7]


@pytest.mark.parametrize("micro_batch", [None, 2])
def test_several_captions_of_a_picture_count_equally(
    micro_batch: int | None, tmp_path: Path
) -> None:
    settings = replace(WHOLE, micro_batch=micro_batch, captions=3, labelled=2)
    model = with_still_norms(tiny_model(dropout=0.0)).double()
    oracle = copy.deepcopy(model)
    (whole,) = parts_of(replace(settings, micro_batch=None), tmp_path)
    floats = torch.from_numpy(DOUBLES.to_floats(pixels_of(whole)))
    ids, mask = map(torch.from_numpy, whole.texts)
    assert len(ids) == 24
    assert len({tuple(row.tolist()) for row in ids[:3]} | {tuple(ids[3].tolist())}) > 1
    wanted = torch.zeros(())
    for number in range(3):
        texts = torch.arange(8) * 3 + number
        for source, weight in ((0, 1 / 3), (1, 1 / 6)):
            some = [place for place, own in enumerate(settings.sources()) if own == source]
            chosen = texts[some]
            one = oracle(ids[chosen], floats[some], mask[chosen], return_loss=True)
            wanted = wanted + weight * one.loss
    wanted.backward()

    loss = Trainer(model, DOUBLES, settings, World()).step(0, parts_of(settings, tmp_path))
    assert loss == pytest.approx(wanted.item(), abs=1e-12)
    assert_alike(gradients(model), gradients(oracle), 1e-9)


def test_channels_of_the_head_are_left_out_in_training_alone(tmp_path: Path) -> None:
    parts = parts_of(WHOLE, tmp_path)
    seen: list[Tensor] = []
    losses = []
    for share in (0.0, 0.5):
        model = tiny_model(dropout=0.0)
        trainer = Trainer(model, PREPROCESSOR, replace(WHOLE, head_dropout=share), World())
        for block in model.vision_model.last_stage():
            block.squeeze_excite.register_forward_hook(lambda _, __, made: seen.append(made))
        losses.append(trainer.step(0, parts))
        inside = model.vision_model.encoder.blocks[1]
        assert isinstance(inside, Block)
        assert not inside.squeeze_excite._forward_hooks
    assert losses[0] != losses[1]
    gone = [(made == 0).all(dim=(2, 3)).float().mean().item() for made in seen]
    assert max(gone[:2]) < 0.1
    assert min(gone[2:]) > 0.3
    model.eval()
    with torch.no_grad():
        model.vision_model(torch.rand(2, 3, 16, 16))
    assert (seen[-1] == 0).all(dim=(2, 3)).float().mean() < 0.1
