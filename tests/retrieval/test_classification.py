"""Zero-shot classification, and the tags it makes."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from click.testing import CliRunner, Result
from PIL import Image
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from encoder import AlignModel, FakeEncoder, PictureError, load_encoder
from encoder.fake import COLOURS
from encoder.towers import save
from indexer import Filters, Library
from retrieval import Engine, QueryError, classify
from retrieval.classification import label_embeddings, probabilities
from retrieval.cli import main
from tests.encoder import conftest as models

TEMPLATES = ["a photo of a {}", "this is a {} on a beach", "{}"]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with random weights that still tells pictures and texts apart."""
    directory = tmp_path_factory.mktemp("checkpoint")
    pixels = torch.rand(6, 3, 80, 80, generator=torch.Generator().manual_seed(0)) * 2 - 1
    model = models.enliven_model(AlignModel(models.tiny_config()), pixels)
    vocab = {word: i for i, word in enumerate(models.WORDS)}
    tokenizer = BertWordPieceTokenizer(vocab, lowercase=True)
    save(directory, model, models.ALIGN_BASE, tokenizer.to_str())
    return directory


@pytest.fixture(scope="session")
def photos() -> list[Image.Image]:
    return [models.draw_picture(seed, (120 + 9 * seed, 100)) for seed in range(5)]


def reference(checkpoint: Path) -> Any:
    return transformers.pipeline(
        "zero-shot-image-classification",
        model=transformers.AlignModel.from_pretrained(checkpoint),
        tokenizer=transformers.BertTokenizerFast(tokenizer_file=str(checkpoint / "tokenizer.json")),
        image_processor=transformers.EfficientNetImageProcessorPil.from_pretrained(checkpoint),
    )


def test_equals_the_pipeline_of_the_reference(checkpoint: Path, photos: list[Image.Image]) -> None:
    labels = ["cat", "dog", "walking on the beach"]
    theirs = reference(checkpoint)(
        photos, candidate_labels=labels, hypothesis_template="a photo of a {}"
    )
    ours = classify(load_encoder(str(checkpoint), "cpu"), photos, labels)
    winners = set()
    for mine, other in zip(ours, theirs, strict=True):
        assert [score.label for score in mine] == [score["label"] for score in other]
        for score, expected in zip(mine, other, strict=True):
            assert score.probability == pytest.approx(expected["score"], abs=1e-5)
        winners.add(mine[0].label)
    assert len(winners) > 1  # if one label won everywhere, the test would compare nothing


def test_probabilities_by_hand() -> None:
    images = np.array([[1, 0], [0.6, 0.8]], np.float32)
    labels = np.array([[1, 0], [0, 1]], np.float32)
    found = probabilities(images, labels, 0.5)
    first = math.exp(2) / (math.exp(2) + 1)
    second = math.exp(1.2) / (math.exp(1.2) + math.exp(1.6))
    np.testing.assert_allclose(found, [[first, 1 - first], [second, 1 - second]], rtol=1e-6)


def test_a_small_temperature_overflows_nothing() -> None:
    rows = np.eye(2, dtype=np.float32)
    np.testing.assert_array_equal(probabilities(rows, rows, 1e-6), np.eye(2))


def test_an_ensemble_is_the_mean_of_unit_vectors_normalised_again(checkpoint: Path) -> None:
    encoder = load_encoder(str(checkpoint), "cpu")
    found = label_embeddings(encoder, ["cat", "dog"], TEMPLATES)
    for label, row in zip(["cat", "dog"], found, strict=True):
        each = [encoder.encode_texts([template.format(label)])[0] for template in TEMPLATES]
        mean = np.mean(each, axis=0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-6)


def test_labels_may_hold_braces() -> None:
    class Heard(FakeEncoder):
        def encode_texts(self, texts: Any) -> Any:
            heard.extend(texts)
            return super().encode_texts(texts)

    heard: list[str] = []
    label_embeddings(Heard(), ["{0}", "red"], ["a {}, {}"])
    assert heard == ["a {0}, {0}", "a red, red"]


def test_the_most_probable_label_first(tmp_path: Path) -> None:
    Image.new("RGB", (5, 5), "red").save(tmp_path / "a.png")
    green = Image.new("RGB", (5, 5), COLOURS["green"])
    found = classify(FakeEncoder(), [str(tmp_path / "a.png"), green], ["blue", "green", "red"])
    assert [[score.label for score in scores] for scores in found] == [
        ["red", "blue", "green"],
        ["green", "blue", "red"],
    ]
    total = math.exp(10) + 2 * math.exp(5)  # cosines 1, 1/2 and 1/2, divided by 0.1
    best = found[0][0]
    assert best.label == "red"
    assert best.probability == pytest.approx(math.exp(10) / total, rel=1e-5)
    assert sum(score.probability for score in found[1]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("labels", "templates", "complaint"),
    [
        ([], ["{}"], "there is no label"),
        (["cat", "none of these"], ["{}"], "is no label of its own"),
        (["cat", " "], ["{}"], "a label is blank"),
        (["cat", "cat"], ["{}"], "given twice"),
        (["cat", "dog"], ["photo"], "'photo' has no {} where the label goes"),
        (["cat", "dog"], [], "there is no template"),
        (["cat", "d\udcffg"], ["{}"], "is not a text"),
        (["cat", "dog"], ["\udcff {}"], "is not a text"),
    ],
)
def test_what_is_refused(labels: list[str], templates: list[str], complaint: str) -> None:
    with pytest.raises(QueryError, match=complaint):
        classify(FakeEncoder(), [], labels, templates=templates)


def test_a_string_is_not_a_list_of_labels() -> None:
    with pytest.raises(TypeError, match="labels and templates take a list"):
        classify(FakeEncoder(), [], "cat")


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(PictureError, match=r"a\.jpg cannot be read: not a picture"):
        classify(FakeEncoder(), [tmp_path / "a.jpg"], ["cat", "dog"])


def fields(library: Library) -> dict[str, dict[str, Any]]:
    return {item.path.stem: dict(item.fields) for item in library.items(library.ids("image"))}


def test_tags_are_fields_to_filter_by(engine: Engine) -> None:
    assert engine.tag(["red", "green"], confidence=0.6, templates=["{}"]) == {"red": 1, "green": 1}
    labels = label_embeddings(FakeEncoder(), ["red", "green"], ["{}"])
    row = FakeEncoder().encode_images([Image.new("RGB", (9, 9), "red")])
    expected = probabilities(row, labels, FakeEncoder.temperature)[0, 0]
    tags = fields(engine.library)
    assert tags == {"red": {"red": ANY_NUMBER}, "green": {"green": ANY_NUMBER}, "blue": {}}
    assert tags["red"]["red"] == pytest.approx(expected, abs=1e-3)
    hits = engine.search("blue", filters=Filters.parse(fields=["red>=0.5"]))
    assert [hit.path.stem for hit in hits] == ["red"]


class _AnyNumber(float):
    def __eq__(self, other: object) -> bool:
        return isinstance(other, float)

    __hash__ = float.__hash__


ANY_NUMBER = _AnyNumber()


def test_tagging_again_replaces_only_these_labels(engine: Engine) -> None:
    engine.tag(["red", "green"], confidence=0.6, templates=["{}"])
    engine.tag(["blue", "white"], confidence=0.9, templates=["{}"])
    engine.tag(["red", "yellow"], confidence=0.999, templates=["{}"])
    assert [sorted(of) for of in fields(engine.library).values()] == [["blue"], ["green"], []]


def test_half_is_enough_for_both_of_two_labels(engine: Engine) -> None:
    """Blue is as far from red as from green."""
    assert engine.tag(["red", "green"], templates=["{}"]) == {"red": 2, "green": 2}
    assert fields(engine.library)["blue"] == {"red": 0.5, "green": 0.5}


def test_fields_from_a_sidecar_stay(folder: Path) -> None:
    (folder / "blue.json").write_text(json.dumps({"green": "no"}))
    with Library.open(folder) as library:
        library.index([], FakeEncoder)
    with Engine(Library.open(folder), lambda name: FakeEncoder()) as engine:
        engine.tag(["red", "green"], confidence=0.6, templates=["{}"])
        assert fields(engine.library)["blue"] == {"green": "no"}


def test_what_a_person_said_stays_and_is_counted(engine: Engine, folder: Path) -> None:
    (folder / "said.csv").write_text("path,red\nred.png,seen by me\nblue.png,no\n")
    engine.library.annotate(folder / "said.csv")
    tagged = engine.tag(["red", "green"], confidence=0.6, templates=["{}"])
    assert (tagged, tagged.left) == ({"red": 1, "green": 1}, {"red": 2})
    assert fields(engine.library) == {
        "red": {"red": "seen by me"},
        "green": {"green": ANY_NUMBER},
        "blue": {"red": "no"},
    }


def test_pictures_deleted_during_tagging_are_left_out(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Library.tag

    def late(self: Library, *values: Any, **more: Any) -> dict[str, int]:
        with Library.open(folder) as other:
            other.forget([folder / "red.png"])
        return put(self, *values, **more)

    monkeypatch.setattr(Library, "tag", late)
    engine.tag(["red", "green"], confidence=0.6, templates=["{}"])
    assert fields(engine.library) == {"green": {"green": ANY_NUMBER}, "blue": {}}


def test_pictures_without_an_embedding_get_no_tag(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row of zeros is equally near to both labels, and half is enough."""
    before = engine.tag(["blue", "yellow"], templates=["{}"])
    ids = engine.library.ids("image")
    monkeypatch.setattr(engine.library, "ids", lambda kind: np.append(ids, 99))
    assert engine.tag(["blue", "yellow"], templates=["{}"]) == before


@pytest.mark.parametrize("label", ["a=b", "x>1", "oh!", " red"])
def test_a_label_that_no_filter_could_name(engine: Engine, label: str) -> None:
    with pytest.raises(QueryError, match="cannot be the name of a field"):
        engine.tag(["red", label])


@pytest.mark.parametrize("confidence", [0, -1, 1.01, math.nan])
def test_a_confidence_out_of_range(engine: Engine, confidence: float) -> None:
    with pytest.raises(QueryError, match="above 0 and at most 1"):
        engine.tag(["red", "green"], confidence=confidence)


@pytest.fixture
def align(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    for name in ("ALIGN_LIBRARY", "ALIGN_MODEL", "ALIGN_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("encoder.load_encoder", lambda *_: FakeEncoder(), raising=False)
    monkeypatch.chdir(folder)

    def align(*arguments: str, status: int = 0) -> Result:
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == status, result.output
        return result

    return align


def test_classify_prints_the_best(align: Callable[..., Result]) -> None:
    shown = align("classify", "red.png", "blue.png", "--labels", "red, green,blue").stdout
    assert [line.split()[1:] for line in shown.splitlines()] == [
        ["red", "red.png"],
        ["blue", "blue.png"],
    ]


def test_classify_prints_all_as_json(align: Callable[..., Result], folder: Path) -> None:
    (folder / "labels.txt").write_text("red\n\ngreen\n")
    (folder / "templates.txt").write_text("a {}\nmany {} things\n")
    line = align(
        *("classify", "red.png", "--labels-file", "labels.txt"),
        *("--template", "{}", "--templates-file", "templates.txt", "--json"),
    ).stdout
    (expected,) = classify(
        FakeEncoder(), ["red.png"], ["red", "green"], templates=["{}", "a {}", "many {} things"]
    )
    assert json.loads(line) == {
        "path": str(folder / "red.png"),
        "label": "red",
        "scores": {score.label: pytest.approx(score.probability) for score in expected},
        "cosines": {},
        "tags": [],
    }


@pytest.mark.parametrize(
    ("place", "options", "model"),
    [
        ("photos", [], "fake"),
        ("photos", ["--model", "other"], "other"),
        (".", [], "kakaobrain/align-base"),
        (".", ["--library", "photos"], "fake"),
    ],
)
def test_classify_takes_the_model_of_the_library_here(
    align: Callable[..., Result],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    options: list[str],
    model: str,
) -> None:
    asked: list[str] = []

    def load(name: str, device: str) -> FakeEncoder:
        asked.append(name)
        return FakeEncoder()

    monkeypatch.setattr("encoder.load_named_encoder", load)
    monkeypatch.chdir(folder.parent / place)
    align("classify", str(folder / "red.png"), "--labels", "red,green", *options)
    assert asked == [model]


def test_labels_are_embedded_once_for_all_files(
    align: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = FakeEncoder.encode_texts

    def count(self: FakeEncoder, texts: Any) -> Any:
        asked.append(len(texts))
        return real(self, texts)

    monkeypatch.setattr(FakeEncoder, "encode_texts", count)
    align("classify", "red.png", "blue.png", "green.png", "--labels", "red,blue")
    assert asked == [2]


def test_classify_goes_on_after_a_file_that_is_not_a_picture(align: Callable[..., Result]) -> None:
    result = align(
        "classify", "captions.txt", "gone.png", "red.png", "--labels", "red,blue", status=1
    )
    assert result.stdout.split()[1:] == ["red", "red.png"]
    assert result.stderr.splitlines() == [
        "align: captions.txt cannot be read: not a picture in a known format",
        "align: gone.png cannot be opened: No such file or directory",
    ]


@pytest.mark.parametrize("command", [["classify", "red.png"], ["tag"]])
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "Missing option '--labels' or '--labels-file'"),
        (["--labels", " , "], "Missing option '--labels' or '--labels-file'"),
        (["--labels", "red,blue", "--template", "a photo"], "has no {} where the label goes"),
        (["--labels-file", "none.txt"], "'none.txt' does not exist"),
    ],
)
def test_wrong_usage(
    align: Callable[..., Result], command: list[str], options: list[str], complaint: str
) -> None:
    result = align(*command, *options, status=2)
    assert complaint in result.stderr
    assert result.stdout == ""


def test_tag_says_what_it_left_and_takes_its_own_back(
    align: Callable[..., Result], folder: Path
) -> None:
    (folder / "said.csv").write_text("path,red\nblue.png,no\n")
    align("annotate", "said.csv")
    done = align("tag", "--labels", "red,green", "--template", "{}", "--confidence", "0.6")
    assert "red: 1 picture kept what a person, a sidecar or the file says" in done.stderr
    assert align("tag", "--clear", "--labels", "green").stdout == "1 value taken back\n"
    assert "nobody said anything as the field 'green'" in (
        align("tag", "--clear", "--labels", "green", status=1).stderr
    )
    assert json.loads(align("tag", "--clear", "--json").stdout) == {"values": 1}
    with Library.open(folder) as library:
        assert fields(library) == {"red": {}, "green": {}, "blue": {"red": "no"}}
    assert align("forget", "--field", "red").stdout == "1 value forgotten\n"
    assert "Missing argument" in align("forget", status=2).stderr


def test_tag_says_how_many(align: Callable[..., Result], folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    shown = align("tag", "--labels", "red,green", "--template", "{}", "--confidence", "0.6").stdout
    assert [line.split() for line in shown.splitlines()] == [
        ["red:", "1", "picture"],
        ["green:", "1", "picture"],
    ]
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    hits = align("search", "blue", "--field", "green>=0.6", "--json").stdout
    assert [Path(json.loads(line)["path"]).name for line in hits.splitlines()] == ["green.png"]
    assert json.loads(align("tag", "--labels", "red,white", "--json").stdout).keys() == {
        "red",
        "white",
    }


def test_one_label_competes_with_plain_wordings() -> None:
    encoder = FakeEncoder()
    found = classify(encoder, [Image.new("RGB", (8, 8), "red")], ["red"], templates=["{}"])
    (scores,) = found
    assert {score.label for score in scores} == {"red", "none of these"}
    plain = encoder.encode_texts(["a photo", "a picture", "an image"]).mean(axis=0)
    cosines = np.stack([encoder.encode_texts(["red"])[0], plain / np.linalg.norm(plain)])
    cosines = cosines @ encoder.encode_images([Image.new("RGB", (8, 8), "red")])[0]
    weights = np.exp(cosines / encoder.temperature)
    by_label = {score.label: score.probability for score in scores}
    assert by_label["red"] == pytest.approx(weights[0] / weights.sum(), rel=1e-5)
    more = classify(encoder, [Image.new("RGB", (8, 8), "red")], ["red", "blue"], none=True)
    assert {score.label for score in more[0]} == {"red", "blue", "none of these"}


def test_labels_with_a_number_are_judged_alone(align: Callable[..., Result]) -> None:
    cosine = float(
        FakeEncoder().encode_texts(["red"])[0]
        @ FakeEncoder().encode_images([Image.new("RGB", (8, 8), "red")])[0]
    )
    options = ("--template", "{}", "--json")
    (line,) = align(
        "classify", "red.png", "--labels", "red:0.9,blue:0.95,green,black", *options
    ).stdout.splitlines()
    said = json.loads(line)
    assert said["tags"] == ["red"]
    assert said["cosines"]["red"] == pytest.approx(cosine, abs=1e-3)
    assert set(said["scores"]) == {"green", "black"}
    lines = align("classify", "red.png", "--labels", "blue:0.99", "--template", "{}").stdout
    assert lines.split() == ["-", "none", "of", "these", "red.png"]


def test_tags_with_numbers_of_their_own(engine: Engine, folder: Path) -> None:
    counts = engine.tag(cutoffs={"red": 0.9, "blue": 0.9}, templates=["{}"])
    assert counts == {"red": 1, "blue": 1}
    (item,) = engine.library.find(folder / "red.png")
    assert item.fields["red"] == pytest.approx(1, abs=1e-3)
    assert engine.tag(["red"], templates=["{}"], confidence=0.5)["red"] == 1
    with pytest.raises(QueryError, match="given twice"):
        engine.tag(["red"], cutoffs={"red": 0.5})
