"""The Python API as people use it: names, vectors, batches, notebooks, modules in the way."""

import io
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import encoder
import retrieval
from encoder import FakeEncoder
from encoder.fake import COLOURS
from indexer import FilterError, Filters, Library
from retrieval import Engine, QueryError, classify, find_duplicates, open_library


@pytest.mark.parametrize("package", [encoder, retrieval])
def test_public_names_are_listed_and_there(package: Any) -> None:
    assert set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        assert getattr(package, name) is not None


def test_help_shows_the_public_names() -> None:
    code = "import retrieval; help(retrieval)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    for name in ("open_library", "find_duplicates", "class Engine", "class Filters"):
        assert name in shown


def test_a_vector_of_ones_own(engine: Engine) -> None:
    row = FakeEncoder().encode_texts(["red"])[0]
    expected = engine.search("red")
    for vector in (row, 7 * row, row[None], row.tolist(), row.astype(np.float64) * 1e-200):
        assert engine.search(vector=vector) == expected
    assert engine.search("blue", vector=row)[0].path.stem in ("red", "blue")


@pytest.mark.parametrize(
    ("vector", "problem"),
    [
        ([1, 2, 3], "the vector has 3 numbers, but the library's model 4"),
        ([0, 0, 0, 0], "no direction"),
        ([1, 2, float("nan"), 4], "no direction"),
        ([[1, 2, 3, 4], [1, 2, 3, 4]], "give one row of numbers"),
        ("red", "is not numbers"),
        ([], "no direction"),
    ],
)
def test_vectors_that_are_refused(engine: Engine, vector: Any, problem: str) -> None:
    with pytest.raises(QueryError, match=problem):
        engine.search(vector=vector)


def test_a_vector_alone_loads_no_model(folder: Path) -> None:
    row = FakeEncoder().encode_texts(["red"])[0]
    with Engine(Library.open(folder), lambda name: pytest.fail("loaded")) as engine:
        assert engine.search(vector=row, k=1)[0].path.name == "red.png"


def test_several_questions_at_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["red", "green and blue", "yellow"]
    alone = [engine.search(text, k=2) for text in texts]
    batches = []
    real = FakeEncoder.encode_texts

    def encode(self: FakeEncoder, texts: Any) -> Any:
        batches.append(list(texts))
        return real(self, texts)

    monkeypatch.setattr(FakeEncoder, "encode_texts", encode)
    assert engine.search_many(texts, k=2) == alone
    assert batches == [texts]
    assert engine.search_many([]) == []
    with pytest.raises(TypeError, match="takes a list"):
        engine.search_many("red")
    with pytest.raises(QueryError, match="is empty"):
        engine.search_many(["red", " "])
    assert engine.search_many(iter(texts), k=2) == alone


@pytest.mark.parametrize("texts", [["red", "green"], 5, None])
def test_several_texts_are_not_one_question(engine: Engine, texts: Any) -> None:
    with pytest.raises(TypeError, match="search_many takes several"):
        engine.search(texts)


def test_what_is_no_text_is_refused(engine: Engine) -> None:
    wrong: Any = ["red", 5]
    for call in (engine.search_many, engine.encoder.encode_texts):
        with pytest.raises(TypeError, match="a text is a str, not int"):
            call(wrong)
    with pytest.raises(TypeError, match="a text is a str, not int"):
        engine.search("red", plus=wrong)


@pytest.mark.parametrize("package", ["encoder", "retrieval"])
def test_completion_shows_the_public_names_alone(package: str) -> None:
    module = import_module(package)
    assert [name for name in dir(module) if not name.startswith("__")] == sorted(module.__all__)


def test_items_length_and_embeddings(engine: Engine, folder: Path) -> None:
    items = list(engine.items())
    assert [item.path.name for item in items] == ["blue.png", "green.png", "red.png"]
    assert (len(engine), bool(engine)) == (3, True)
    assert len(list(engine.items(kind="text"))) == 3
    assert [item.id for item in engine.items(Filters.parse(glob="red*"))] == [items[2].id]
    rows = engine.embeddings(np.array([items[2].id, items[0].id]))
    expected = FakeEncoder().encode_images([folder / "red.png", folder / "blue.png"])
    assert np.allclose(rows, expected, atol=1e-3)


def test_numbers_of_numpy_are_numbers(engine: Engine) -> None:
    assert len(engine.search("red", k=np.int64(2))) == 2
    assert len(engine.search("red", filters=Filters.parse(min_width=np.int32(5)))) == 3
    with pytest.raises(TypeError):
        engine.search("red", k=2.5)  # type: ignore[arg-type]


def test_a_least_score_and_filters_alone(engine: Engine) -> None:
    hits = engine.search("red")
    assert (
        engine.search("red", min_score=hits[1].score) == hits[:2] or hits[1].score == hits[2].score
    )
    found = engine.search(filters=Filters.parse(glob="*.png"))
    assert [hit.path.name for hit in found] == ["blue.png", "green.png", "red.png"]
    assert all(np.isnan(hit.score) for hit in found)
    with pytest.raises(QueryError, match="is empty"):
        engine.search()


def test_pictures_of_every_kind_are_questions(engine: Engine, folder: Path) -> None:
    red = folder / "red.png"
    opened = Image.open(red)
    forms: list[Any] = [red.read_bytes(), io.BytesIO(red.read_bytes()), opened, np.asarray(opened)]
    for form in forms:
        assert engine.similar(form, k=1)[0].path == red
        assert engine.captions(form, k=1)[0].text == "a red thing"
        assert classify(FakeEncoder(), form, ["red", "blue"])[0][0].label == "red"
    assert engine.search(images=[red.read_bytes()], k=1)[0].path == red
    for one in (str(red), red, red.read_bytes(), opened):
        with pytest.raises(TypeError, match="take a list"):
            engine.search(images=one)  # type: ignore[arg-type]


def test_a_new_library_is_made_and_filled(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), COLOURS["red"]).save(tmp_path / "red.png")
    with open_library(tmp_path, create=True, encoder=FakeEncoder()) as photos:
        assert len(photos) == 0
        assert photos.index(tmp_path).added == 1
        assert photos.index([str(tmp_path)]).unchanged == 1
        assert photos.search("red")[0].path == tmp_path / "red.png"
    with open_library(tmp_path, encoder=FakeEncoder()) as photos:
        assert photos.index().unchanged == 1


def test_duplicates_of_an_open_library(engine: Engine) -> None:
    assert find_duplicates(engine) == find_duplicates(engine.library)


@pytest.mark.parametrize("name", ["after", "before"])
def test_dates_are_checked_by_every_constructor(name: str) -> None:
    makers: list[Any] = [Filters, Filters.parse]
    for make in makers:
        with pytest.raises(FilterError, match="is no date"):
            make(**{name: "March"})


def test_hits_are_a_table_in_a_notebook(engine: Engine, folder: Path) -> None:
    (folder / "red.png").rename(folder / "red & <b>.png")
    engine.index()
    html = engine.search("red", k=2)._repr_html_()
    assert html.count("<tr>") == 3
    assert html.count("data:image/webp;base64,") == 2
    assert "red &amp; &lt;b&gt;.png" in html
    assert "a red thing" in engine.captions(folder / "red & <b>.png", k=1)._repr_html_()
    assert "Nothing found" in engine.search("red", min_score=1.0)._repr_html_()


@pytest.mark.parametrize("name", ["encoder", "indexer"])
def test_a_module_that_hides_ours_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text("raise SystemExit('run')")
    (tmp_path / "script.py").write_text("import retrieval")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: {tmp_path}/{name}.py hides the package '{name}' of align-retrieval: rename"
        " it, or run the program from another folder"
    )
