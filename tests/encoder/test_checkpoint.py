"""Checkpoint folders: strict reading, writing for the reference, identity, and the hub."""

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import huggingface_hub
import numpy as np
import pytest
import torch
import transformers
from huggingface_hub.errors import (
    EntryNotFoundError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from PIL import Image
from safetensors.torch import load_file, save_file

from encoder.bundled import BUNDLED
from encoder.checkpoint import find, load
from encoder.errors import CheckpointError, HubError
from encoder.hub import NEEDED, PATTERNS
from encoder.inference import load_encoder
from encoder.model.align import AlignModel
from encoder.model.config import AlignConfig
from encoder.preprocess import Preprocessor
from encoder.towers import save
from encoder.weights import INDEX, WEIGHTS

TEXTS = ["a photo of a cat", "dogs walking on the beach", "", "Café, 42!"]
COMMIT = "b9f3f2d1c0a1e2d3c4b5a6978877665544332211"

Change = Callable[[Path], object]


def assert_reference_agrees(directory: Path, pictures: list[Image.Image]) -> None:
    """The reference reads the folder: model, image processor and tokenizer."""
    model, info = transformers.AlignModel.from_pretrained(
        directory, output_loading_info=True, dtype=torch.float32
    )
    # Not saved: the unused pooler, and the counters, which only training uses.
    missing = {n for n in info["missing_keys"] if not n.endswith("num_batches_tracked")}
    assert missing == {"text_model.pooler.dense.weight", "text_model.pooler.dense.bias"}
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    processor = transformers.EfficientNetImageProcessorPil.from_pretrained(directory)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    tokens = tokenizer(TEXTS, padding=True, truncation=True, max_length=64, return_tensors="pt")
    checkpoint = load(directory)
    ids, mask = checkpoint.tokenizer(TEXTS)
    assert tokens["input_ids"].tolist() == ids.tolist()
    assert tokens["attention_mask"].tolist() == mask.tolist()
    pixels = processor(pictures, return_tensors="pt")["pixel_values"]
    prepared = np.stack([checkpoint.preprocessor.prepare(picture) for picture in pictures])
    floats = torch.from_numpy(checkpoint.preprocessor.to_floats(prepared))
    torch.testing.assert_close(floats, pixels, atol=1e-6, rtol=0)
    with torch.inference_mode():
        wanted = model(
            input_ids=tokens["input_ids"], pixel_values=pixels, attention_mask=mask_of(tokens)
        )
    encoder = load_encoder(str(directory), device="cpu")
    images, texts = encoder.encode_images(pictures), encoder.encode_texts(TEXTS)
    np.testing.assert_allclose(images, wanted.image_embeds.numpy(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(texts, wanted.text_embeds.numpy(), rtol=0, atol=1e-5)
    for rows in (images, texts):  # else the agreement would prove nothing
        assert np.max(rows @ rows.T - 2 * np.eye(len(rows))) < 0.99


def mask_of(tokens: Any) -> torch.Tensor:
    mask: torch.Tensor = tokens["attention_mask"]
    return mask


def test_the_reference_reads_what_is_saved(saved: Path, pictures: list[Image.Image]) -> None:
    assert sorted(path.name for path in saved.iterdir()) == [
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert_reference_agrees(saved, pictures)


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_models_are_read_by_the_reference_too(
    name: str, pictures: list[Image.Image]
) -> None:
    directory, revision = find(name)
    assert (directory, revision) == (BUNDLED[name], None)
    assert {WEIGHTS, "config.json", "preprocessor_config.json"} <= {
        path.name for path in directory.iterdir()
    }
    assert_reference_agrees(directory, pictures)


def save_by_reference(
    directory: Path, config: AlignConfig, words: list[str]
) -> transformers.AlignModel:
    torch.manual_seed(3)
    model = transformers.AlignModel(transformers.AlignConfig.from_dict(config.to_dict())).eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point() and name != "temperature":
                tensor.uniform_(0.1, 1) if "var" in name else tensor.normal_(0, 0.3)
            elif not tensor.is_floating_point():
                tensor.fill_(5)
    model.save_pretrained(directory)
    (directory / "vocab.txt").write_text("\n".join(words) + "\n", "utf-8")
    transformers.EfficientNetImageProcessorPil(
        size={"height": 70, "width": 70}, resample=2
    ).save_pretrained(directory)
    return model


def test_what_the_reference_saves_is_read_strictly(
    tmp_path: Path, tiny: Callable[..., AlignConfig], words: list[str]
) -> None:
    config = tiny()
    reference = save_by_reference(tmp_path, config, words)
    names = load_file(tmp_path / WEIGHTS).keys()
    assert {"text_model.pooler.dense.weight", "text_model.pooler.dense.bias"} <= names
    assert "vision_model.embeddings.batchnorm.num_batches_tracked" in names
    checkpoint = load(tmp_path)
    assert checkpoint.model.config == config
    assert checkpoint.preprocessor == Preprocessor(
        size=(70, 70), resample=Image.Resampling.BILINEAR
    )
    assert not checkpoint.model.training
    wanted = reference.state_dict()
    for name, tensor in checkpoint.model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(tensor, wanted[name]), name


def test_save_then_load_keeps_everything(saved: Path, tokenizer_json: str, tmp_path: Path) -> None:
    first = load(saved)
    save(tmp_path / "a" / "b", first.model, first.preprocessor, tokenizer_json)
    again = load(tmp_path / "a" / "b")
    assert again.fingerprint == first.fingerprint
    assert (again.model.config, again.preprocessor) == (first.model.config, first.preprocessor)
    wanted = first.model.state_dict()
    assert all(torch.equal(t, wanted[name]) for name, t in again.model.state_dict().items())


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_are_read_as_float32(
    kind: torch.dtype, saved: Path, tokenizer_json: str, tmp_path: Path
) -> None:
    first = load(saved)
    save(tmp_path, first.model, first.preprocessor, tokenizer_json, dtype=kind)
    assert {t.dtype for t in load_file(tmp_path / WEIGHTS).values()} == {kind}
    again = load(tmp_path).model.state_dict()
    for name, tensor in first.model.state_dict().items():
        if tensor.is_floating_point():
            assert again[name].dtype == torch.float32
            assert torch.equal(again[name], tensor.to(kind).float()), name


def rewrite(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    """Change the tensors of a folder's weights."""

    def apply(folder: Path) -> None:
        state = {name: tensor.clone() for name, tensor in load_file(folder / WEIGHTS).items()}
        change(state)
        save_file(state, folder / WEIGHTS, metadata={"format": "pt"})

    return apply


def edit_json(name: str, **values: Any) -> Change:
    def apply(folder: Path) -> None:
        known = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**known, **values}))

    return apply


def add_entry(folder: Path) -> None:
    known = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    known["model"]["vocab"]["zebra"] = len(known["model"]["vocab"])
    (folder / "tokenizer.json").write_text(json.dumps(known), "utf-8")


def only_a_pickle(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")


def remove(*names: str) -> Change:
    def apply(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return apply


def truncate(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


BIAS = "text_projection.bias"
STEM = "vision_model.embeddings.convolution.weight"
DAMAGE: dict[str, tuple[Change, str]] = {
    "a pickle": (only_a_pickle, "only pytorch_model.bin, a pickle; pickles can run any code"),
    "no weights": (remove(WEIGHTS), "it has no model.safetensors"),
    "no config": (remove("config.json"), "it has no config.json"),
    "no preprocessor": (remove("preprocessor_config.json"), "no preprocessor_config.json"),
    "no tokenizer": (remove("tokenizer.json"), "neither tokenizer.json nor vocab.txt"),
    "surplus": (rewrite(lambda s: s.update(extra=torch.ones(1))), "has extra names, extra"),
    "surplus head": (
        rewrite(lambda s: s.update({"vision_model.pooler.weight": torch.ones(1)})),
        "has extra names, vision_model.pooler.weight",
    ),
    "missing": (rewrite(lambda s: s.pop(BIAS)), f"lacks {BIAS}"),
    "many missing": (rewrite(lambda s: [s.pop(n) for n in sorted(s)[:9]]), "and 6 more"),
    "misshapen": (
        rewrite(lambda s: s.update({STEM: torch.ones(8, 3, 5, 5)})),
        f"{STEM} has shape (8, 3, 5, 5), but config.json says (8, 3, 3, 3)",
    ),
    "truncated": (truncate, "model.safetensors cannot be read as safetensors"),
    "not safetensors": (
        lambda folder: torch.save({}, folder / WEIGHTS),
        "model.safetensors cannot be read as safetensors",
    ),
    "empty weights": (
        lambda folder: (folder / WEIGHTS).write_bytes(b""),
        "model.safetensors cannot be read as safetensors",
    ),
    "another model": (edit_json("config.json", model_type="clip"), "model_type is 'clip'"),
    "another size": (
        edit_json("config.json", text_config={"vocab_size": 50}),
        "but the model's vocab_size is 50",
    ),
    "another vocabulary": (
        lambda folder: [add_entry(folder), edit_json("config.json", **narrow(folder))(folder)],
        "they belong to different checkpoints",
    ),
    "pictures too small": (
        edit_json("preprocessor_config.json", crop_size={"height": 65, "width": 3}),
        "pictures of 3 x 65 pixels are too small for this model",
    ),
    "a shard": (
        lambda folder: [in_shards(folder), (folder / "model-2-of-2.safetensors").unlink()],
        "has no model-2-of-2.safetensors, which its model.safetensors.index.json names",
    ),
    "no index": (
        lambda folder: [in_shards(folder), (folder / INDEX).write_text("{}")],
        "model.safetensors.index.json is not an index of shards",
    ),
    "a shard elsewhere": (
        lambda folder: [
            in_shards(folder),
            (folder / INDEX).write_text(json.dumps({"weight_map": {"a": "../x.safetensors"}})),
        ],
        "model.safetensors.index.json is not an index of shards",
    ),
    "config not JSON": (
        lambda folder: (folder / "config.json").write_text("{"),
        "config.json is not a config",
    ),
}


def narrow(folder: Path) -> dict[str, Any]:
    text = json.loads((folder / "config.json").read_text())["text_config"]
    return {"text_config": {**text, "vocab_size": 20}}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_said_in_one_sentence(name: str, folder: Path) -> None:
    change, said = DAMAGE[name]
    load(folder)
    change(folder)
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def flip(state: dict[str, torch.Tensor]) -> None:
    state[BIAS][0] += 1e-3


def nested(name: str, part: str, **values: Any) -> Change:
    def apply(folder: Path) -> None:
        whole = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**whole, part: {**whole[part], **values}}))

    return apply


def in_tokenizer(change: Callable[[dict[str, Any]], object]) -> Change:
    def apply(folder: Path) -> None:
        rules = json.loads((folder / "tokenizer.json").read_text("utf-8"))
        change(rules)
        (folder / "tokenizer.json").write_text(json.dumps(rules), "utf-8")

    return apply


PREPROCESSOR, CONFIG = "preprocessor_config.json", "config.json"
MATTER: dict[str, Change] = {
    "a weight": rewrite(flip),
    "the vocabulary": add_entry,
    "lower case": in_tokenizer(lambda t: t["normalizer"].update(lowercase=False)),
    "accents": in_tokenizer(lambda t: t["normalizer"].update(strip_accents=False)),
    "words": in_tokenizer(lambda t: t.update(pre_tokenizer={"type": "Whitespace"})),
    "long words": in_tokenizer(lambda t: t["model"].update(max_input_chars_per_word=5)),
    "parts of words": in_tokenizer(lambda t: t["model"].update(continuing_subword_prefix="@@")),
    "no [CLS]": in_tokenizer(lambda t: t.update(post_processor=None)),
    "resampling": edit_json(PREPROCESSOR, resample=3),
    "rescaling": edit_json(PREPROCESSOR, rescale_factor=1 / 255),
    "the offset": edit_json(PREPROCESSOR, rescale_offset=False),
    "the size": edit_json(PREPROCESSOR, size={"height": 81, "width": 80}),
    "the crop": edit_json(PREPROCESSOR, do_center_crop=False),
    "normalising": edit_json(PREPROCESSOR, do_normalize=True),
    "an activation": nested(CONFIG, "vision_config", hidden_act="relu"),
    "pooling": nested(CONFIG, "vision_config", pooling_type="max"),
    "strides": nested(CONFIG, "vision_config", strides=[1, 1, 2]),
    "padding": nested(CONFIG, "vision_config", depthwise_padding=[1]),
    "the eps of batch norms": nested(CONFIG, "vision_config", batch_norm_eps=1e-2),
    "heads": nested(CONFIG, "text_config", num_attention_heads=4),
    "the activation of texts": nested(CONFIG, "text_config", hidden_act="relu"),
    "the eps of layer norms": nested(CONFIG, "text_config", layer_norm_eps=1e-3),
}


def in_shards(folder: Path) -> None:
    state = load_file(folder / WEIGHTS)
    names = sorted(state)
    parts = {"model-1-of-2.safetensors": names[::2], "model-2-of-2.safetensors": names[1::2]}
    for file, some in parts.items():
        save_file({name: state[name] for name in some}, folder / file)
    index = {"weight_map": {name: file for file, some in parts.items() for name in some}}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, **index}))
    (folder / WEIGHTS).unlink()


def as_processor(folder: Path) -> None:
    """As version 5 of the reference saves it."""
    rules = json.loads((folder / PREPROCESSOR).read_text())
    whole = {"image_processor": rules, "processor_class": "AlignProcessor"}
    (folder / "processor_config.json").write_text(json.dumps(whole))
    (folder / PREPROCESSOR).unlink()


def as_template(rules: dict[str, Any]) -> None:
    """The same tokens around a text, said in another way."""
    special = {
        name: {"id": name, "ids": [id], "tokens": [name]}
        for name, id in (("[CLS]", 2), ("[SEP]", 3))
    }
    around = [{"SpecialToken": {"id": name, "type_id": 0}} for name in special]
    single = [around[0], {"Sequence": {"id": "A", "type_id": 0}}, around[1]]
    rules["post_processor"] = {
        "type": "TemplateProcessing",
        "single": single,
        "pair": single,
        "special_tokens": special,
    }


def doubled(folder: Path) -> None:
    """The same weights as float64."""
    rewrite(lambda s: s.update({n: t.double() for n, t in s.items() if t.is_floating_point()}))(
        folder
    )


SAME: dict[str, Change] = {
    "shards": in_shards,
    "processor_config.json": as_processor,
    "another float type": doubled,
    "metadata of the file": lambda folder: save_file(
        load_file(folder / WEIGHTS), folder / WEIGHTS, {"by": "me"}
    ),
    "a pooler": rewrite(lambda s: s.update({"text_model.pooler.dense.bias": torch.ones(3)})),
    "persistent positions": rewrite(
        lambda s: s.update({"text_model.embeddings.position_ids": torch.arange(64)[None]})
    ),
    "the temperature": rewrite(lambda s: s["temperature"].fill_(0.5)),
    "segments that are never used": rewrite(
        lambda s: s["text_model.embeddings.token_type_embeddings.weight"][1].fill_(7)
    ),
    "a template": in_tokenizer(as_template),
    "accents as said by lower case": in_tokenizer(
        lambda t: t["normalizer"].update(strip_accents=True)
    ),
    "truncation": in_tokenizer(
        lambda t: t.update(
            truncation={
                "direction": "Right",
                "max_length": 9,
                "strategy": "LongestFirst",
                "stride": 0,
            }
        )
    ),
    "an unused mean": edit_json(PREPROCESSOR, image_mean=[0.1, 0.2, 0.3]),
    "dropout": nested(CONFIG, "text_config", hidden_dropout_prob=0.5),
    "the size of pictures in config.json": nested(CONFIG, "vision_config", image_size=999),
    "momentum": nested(CONFIG, "vision_config", batch_norm_momentum=0.5, drop_connect_rate=0.7),
    "the first temperature": edit_json(CONFIG, temperature_init_value=0.5),
    "another name of an activation": nested(CONFIG, "vision_config", hidden_act="silu"),
}


@pytest.mark.parametrize("name", MATTER)
def test_fingerprint_changes_with_what_changes_embeddings(name: str, folder: Path) -> None:
    before = load(folder).fingerprint
    assert len(before) == 32
    assert int(before, 16) > 0
    MATTER[name](folder)
    after = load(folder)
    assert after.fingerprint != before
    assert not after.is_known_as(before)


@pytest.mark.parametrize("name", SAME)
def test_fingerprint_stays_with_what_changes_no_embedding(
    name: str, folder: Path, pictures: list[Image.Image]
) -> None:
    before, encoder = load(folder).fingerprint, load_encoder(str(folder), device="cpu")
    images, texts = encoder.encode_images(pictures), encoder.encode_texts(TEXTS)
    SAME[name](folder)
    assert load(folder).fingerprint == before
    again = load_encoder(str(folder), device="cpu")
    np.testing.assert_allclose(again.encode_images(pictures), images, rtol=0, atol=1e-6)
    np.testing.assert_allclose(again.encode_texts(TEXTS), texts, rtol=0, atol=1e-6)


OF_VERSION_0_1 = {
    "align-small": "7ecae5faadb6c10317aef0b73b0e9807",
    "align-mini": "e23d255e10d8c1d89f7b9287bc1efbe9",
}


@pytest.mark.parametrize("name", BUNDLED)
def test_the_fingerprints_of_version_0_1_are_known(name: str) -> None:
    checkpoint = load(BUNDLED[name])
    assert checkpoint.is_known_as(OF_VERSION_0_1[name])
    assert checkpoint.is_known_as(checkpoint.fingerprint)
    assert checkpoint.fingerprint != OF_VERSION_0_1[name]
    assert not checkpoint.is_known_as("0" * 32)


def test_weights_that_change_between_two_towers_are_refused(folder: Path) -> None:
    """Else vectors of two models would meet under one fingerprint."""
    encoder = load_encoder(str(folder), device="cpu")
    encoder.encode_texts(["a cat"])
    rewrite(flip)(folder)
    with pytest.raises(CheckpointError, match="changed while it was in use"):
        encoder.encode_images([Image.new("RGB", (9, 9))])


@pytest.mark.parametrize("value", [0.0, -0.1, float("nan"), float("inf")])
def test_a_temperature_that_divides_nothing_is_refused(value: float, folder: Path) -> None:
    rewrite(lambda s: s["temperature"].fill_(value))(folder)
    with pytest.raises(CheckpointError, match=r"the temperature is .*, which must be above 0"):
        load(folder)


def test_what_was_checked_once_is_not_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in folder.iterdir():
        os.utime(file, (1e9, 1e9))
    wanted = load(folder).fingerprint

    def refuse(*arguments: object) -> NoReturn:
        raise AssertionError("the weights were read again")

    with monkeypatch.context() as patch:
        patch.setattr("encoder.towers.check", refuse)
        assert load(folder).fingerprint == wanted
        rewrite(flip)(folder)
        with pytest.raises(AssertionError):
            load(folder)
    assert load(folder).fingerprint != wanted


def test_a_cache_that_cannot_be_used_only_costs_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wanted = load(folder).fingerprint
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert load(folder).fingerprint == wanted
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for file in folder.iterdir():
        os.utime(file, (1e9, 1e9))
    assert load(folder).fingerprint == wanted
    (fact,) = (tmp_path / "cache" / "align-retrieval" / "facts").iterdir()
    for broken in ("", "{", "null", "[1]", '{"a": 1}', '["x", "y"]'):
        fact.write_text(broken)
        assert load(folder).fingerprint == wanted


def test_fingerprint_is_that_of_the_contents(
    saved: Path, folder: Path, words: list[str], tmp_path: Path
) -> None:
    wanted = load(saved).fingerprint
    assert load(folder).fingerprint == wanted  # a copy in another folder
    (folder / "README.md").write_text("not part of it")
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", "utf-8")
    edit_json("preprocessor_config.json", unknown_key=1, do_normalize=False)(folder)
    assert load(folder).fingerprint == wanted  # the same vocabulary, rules and values
    assert load(Path(shutil.move(folder, tmp_path / "moved"))).fingerprint == wanted


def test_find_local(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(str(saved)) == (saved, None)
    monkeypatch.setenv("HOME", str(saved.parent))
    assert find(f"~/{saved.name}") == (saved, None)
    monkeypatch.chdir(saved.parent)
    assert find(f"./{saved.name}") == (Path(saved.name), None)


@pytest.mark.parametrize("name", ["no-such-name", "./a/b", "/no/such", "~/b", "a/b/c"])
def test_no_such_folder(name: str, no_network: None) -> None:
    with pytest.raises(CheckpointError, match="is not a checkpoint: give align-small or") as caught:
        find(name)
    for told in ("config.json", WEIGHTS, "kakaobrain/align-base", *BUNDLED):
        assert told in str(caught.value)


@pytest.mark.parametrize("name", ["my photos/model", "models/mini.git", "a/b..c"])
def test_a_name_that_cannot_be_a_hub_id(name: str, no_network: None) -> None:
    with pytest.raises(CheckpointError, match="is neither a folder nor a hub id"):
        find(name)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub's client."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def put(cache: Path, source: Path, commit: str = COMMIT, ref: str = "main") -> Path:
    """Store a model as the hub's client does."""
    repo = cache / "models--someone--small"
    snapshot = repo / "snapshots" / commit
    shutil.copytree(source, snapshot)
    (repo / "refs").mkdir(exist_ok=True)
    (repo / "refs" / ref).write_text(commit)
    return snapshot


def test_a_cached_model_needs_no_network(cache: Path, saved: Path, no_network: None) -> None:
    snapshot = put(cache, saved)
    assert find("someone/small") == (snapshot, COMMIT)
    encoder = load_encoder("someone/small", device="cpu")
    assert (encoder.name, encoder.revision) == ("someone/small", COMMIT)
    assert encoder.fingerprint == load(saved).fingerprint


def test_a_revision_is_used_and_recorded(cache: Path, saved: Path, no_network: None) -> None:
    put(cache, saved)
    other = put(cache, saved, commit="a" * 40, ref="v2")
    assert find("someone/small", "v2") == (other, "a" * 40)
    assert find("someone/small", "a" * 40) == (other, "a" * 40)
    assert find("someone/small")[1] == COMMIT


def test_offline_without_the_model(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client itself raises the error, as it does without a network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError) as caught:
        find("someone/small")
    said = str(caught.value)
    remedies = "use --model align-small, which comes with the package, or put "
    assert said.startswith("someone/small is not on this machine and the hub cannot be reached (")
    assert said.index(remedies) < min(said.index(names[0]) for names in NEEDED)
    assert "\n" not in str(caught.value)


class Client:
    """Replaces `huggingface_hub.snapshot_download`: nothing is cached, the hub gives `answer`."""

    def __init__(self, answer: Exception | Path) -> None:
        self.answer = answer
        self.calls: list[dict[str, Any]] = []

    def __call__(self, repo: str, **options: Any) -> str:
        self.calls.append({"repo": repo, **options})
        if options["local_files_only"]:
            raise LocalEntryNotFoundError("nothing here")
        if isinstance(self.answer, Path):
            return str(self.answer)
        raise self.answer


def answer(kind: type[Exception]) -> Exception:
    return kind.__new__(kind)  # their constructors need a response of the server


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionError("down"), "someone/small is not on this machine and the hub cannot be"),
        (TimeoutError(), "someone/small is not on this machine and the hub cannot be reached"),
        (LocalEntryNotFoundError("offline"), "someone/small is not on this machine and the hub"),
        (answer(RepositoryNotFoundError), "the hub has no model someone/small at revision v3:"),
        (answer(RevisionNotFoundError), "the hub has no model someone/small at revision v3:"),
    ],
)
def test_what_the_hub_answers(error: Exception, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", Client(error))
    with pytest.raises(HubError) as caught:
        find("someone/small", "v3")
    assert str(caught.value).startswith(said)
    assert caught.value.__cause__ is error


def test_what_is_fetched(saved: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    snapshot = Path(shutil.copytree(saved, tmp_path / COMMIT))
    client = Client(snapshot)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", client)
    assert find("someone/small", "v3") == (snapshot, COMMIT)
    call = {"repo": "someone/small", "revision": "v3", "allow_patterns": list(PATTERNS)}
    assert client.calls == [
        {**call, "local_files_only": True},
        {**call, "local_files_only": False},
    ]
    (snapshot / WEIGHTS).rename(snapshot / "pytorch_model.bin")

    def gone(*arguments: object, **options: object) -> NoReturn:
        raise answer(EntryNotFoundError)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", gone)
    with pytest.raises(CheckpointError, match="pickled weights can run any code and are never"):
        find("someone/small")


def test_an_interrupted_download_is_continued(
    cache: Path, saved: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (put(cache, saved) / WEIGHTS).unlink()
    whole = Path(shutil.copytree(saved, tmp_path / COMMIT))
    real = huggingface_hub.snapshot_download

    def download(repo: str, **options: Any) -> str:
        return str(real(repo, **options) if options["local_files_only"] else whole)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert find("someone/small") == (whole, COMMIT)


def test_config_and_weights_alone_are_not_a_whole_download(
    cache: Path, saved: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As other programs leave them: what lacks is fetched; if it cannot be, that is said."""
    snapshot = put(cache, saved)
    for name in ("preprocessor_config.json", "tokenizer.json"):
        (snapshot / name).unlink()
    whole = Path(shutil.copytree(saved, tmp_path / COMMIT))
    real = huggingface_hub.snapshot_download

    def download(repo: str, **options: Any) -> str:
        return str(real(repo, **options) if options["local_files_only"] else whole)

    with monkeypatch.context() as patch:
        patch.setattr(huggingface_hub, "snapshot_download", download)
        assert find("someone/small") == (whole, COMMIT)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(
        HubError, match=r"is on this machine without preprocessor_config\.json and the hub cannot"
    ):
        find("someone/small")


@pytest.mark.parametrize("change", [in_shards, as_processor])
def test_other_layouts_are_whole_downloads(
    change: Change, cache: Path, saved: Path, no_network: None
) -> None:
    snapshot = put(cache, saved)
    change(snapshot)
    assert find("someone/small") == (snapshot, COMMIT)


def test_an_unknown_parameter_count_is_not_loaded_partly(folder: Path) -> None:
    """A model with one layer more than its weights names what is missing."""
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] += 1
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        CheckpointError, match=r"lacks text_model\.encoder\.layer\.2\..* and 13 more"
    ):
        load(folder)


def test_the_model_is_ready_for_use(saved: Path) -> None:
    checkpoint = load(saved)
    assert isinstance(checkpoint.model, AlignModel)
    assert not checkpoint.model.training
    assert {p.dtype for p in checkpoint.model.parameters()} == {torch.float32}
    assert {p.device.type for p in checkpoint.model.parameters()} == {"cpu"}
