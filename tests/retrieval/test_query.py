"""Queries of several terms, with colours that a reader can add by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from encoder import Decoders, Embeddings, FakeEncoder, Pixels
from encoder.fake import COLOURS
from indexer import Library
from retrieval import Engine, QueryError, Weighted
from retrieval.query import Query, parse_weighted

RED, BLUE = np.array([1, 0, 0, 1]) / 2**0.5, np.array([0, 0, 1, 1]) / 2**0.5
DECODERS = Decoders()
"""They never start a process: no picture here is a file."""
PURPLE = np.array([1, 0, 1, 1]) / 3**0.5


class Counting(FakeEncoder):
    """Records its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, int]] = []

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        self.calls.append(("texts", len(texts)))
        return super().encode_texts(texts)

    def encode_images(self, pictures: Sequence[Image.Image | Pixels]) -> Embeddings:
        self.calls.append(("images", len(pictures)))
        return super().encode_images(pictures)


def unit(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    length: npt.NDArray[np.float64] = vector / np.linalg.norm(vector)
    return length


def picture(colour: str) -> Image.Image:
    return Image.new("RGB", (4, 4), COLOURS[colour])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query.combine("red"), RED),
        (Query.combine("red", plus=["blue"]), np.array([1, 0, 1, 2]) / 6**0.5),
        (Query.combine(plus=["red", Weighted("blue", 3)]), unit(RED + 3 * BLUE)),
        (Query.combine("purple", minus=["red"]), unit(PURPLE - RED)),
        (Query.combine("purple", minus=[Weighted("red", 0.5)]), unit(PURPLE - RED / 2)),
        (Query.combine(images=[picture("red")], plus=["blue"]), unit(RED + BLUE)),
        (Query.combine("blue", images=[Weighted(picture("red"), 2)]), unit(2 * RED + BLUE)),
        (Query.combine("purple", images=[Weighted(picture("red"), -1)]), unit(PURPLE - RED)),
        (Query.combine(plus=[Weighted("red", 1e308), Weighted("blue", 1e308)]), unit(RED + BLUE)),
    ],
)
def test_a_query_is_the_weighted_sum_normalised(
    query: Query, expected: npt.NDArray[np.float64]
) -> None:
    vector = query.embed(FakeEncoder(), DECODERS)
    assert (vector.shape, vector.dtype) == ((4,), np.dtype(np.float32))
    assert vector == pytest.approx(expected, abs=1e-6)


def test_the_encoder_is_called_once_for_texts_and_once_for_pictures() -> None:
    encoder = Counting()
    images = [picture("red"), picture("green")]
    Query.combine("red", ["blue", "green"], ["black"], images).embed(encoder, DECODERS)
    assert sorted(encoder.calls) == [("images", 2), ("texts", 4)]
    encoder.calls.clear()
    Query.combine("red").embed(encoder, DECODERS)
    Query.combine(images=images).embed(encoder, DECODERS)
    assert encoder.calls == [("texts", 1), ("images", 2)]


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        (lambda: Query.combine(), "the query is empty"),
        (lambda: Query.combine(minus=["red"]), "the query is empty"),
        (lambda: Query.combine(plus=[Weighted("red", -1)]), "the query is empty"),
        (lambda: Query.combine(" \t"), "a text to search for is empty"),
        (lambda: Query.combine("red", minus=[""]), "a text to search for is empty"),
        (lambda: Query.combine("red", plus=[Weighted("blue", 0)]), r"the weight 0 must be"),
        (lambda: Weighted("red", float("nan")), r"the weight nan must be"),
        (lambda: Weighted("red", float("inf")), r"the weight inf must be"),
        (
            lambda: Query.combine("red", minus=["red"]).embed(FakeEncoder(), DECODERS),
            "cancel each other",
        ),
        (
            lambda: Query.combine(images=[picture("red")], minus=["red"]).embed(
                FakeEncoder(), Decoders()
            ),
            "cancel each other",
        ),
    ],
)
def test_queries_that_are_refused(query, complaint: str) -> None:
    with pytest.raises(QueryError, match=complaint):
        query()


@pytest.mark.parametrize("name", ["plus", "minus", "images"])
def test_a_single_text_is_not_read_as_a_list_of_letters(name: str) -> None:
    with pytest.raises(TypeError, match="take a list"):
        Query.combine("red", **{name: "blue"})


@pytest.mark.parametrize(
    ("term", "content", "weight"),
    [
        ("dog", "dog", 1),
        ("2:sunset", "sunset", 2),
        ("0.5:dog", "dog", 0.5),
        (".5:a: b", "a: b", 0.5),
        ("1e-2:dog", "dog", 0.01),
        ("16:9 screen", "9 screen", 16),
        ("1:16:9 screen", "16:9 screen", 1),
        ("1:-2:dog", "-2:dog", 1),
        ("a 16:9 screen", "a 16:9 screen", 1),
        ("inf:dog", "inf:dog", 1),
        ("nan:dog", "nan:dog", 1),
        ("1_0:dog", "1_0:dog", 1),
        (":dog", ":dog", 1),
        ("C:/photos/a.jpg", "C:/photos/a.jpg", 1),
        ("2:two\nlines", "two\nlines", 2),
    ],
)
def test_terms_as_the_command_line_spells_them(term: str, content: str, weight: float) -> None:
    assert parse_weighted(term) == Weighted(content, weight)


@pytest.mark.parametrize(
    ("term", "complaint"),
    [
        ("0:dog", "the weight 0 must be positive; 1:0:dog is the text or path 0:dog itself"),
        ("-1:dog", "the weight -1 must be positive"),
        ("1e999:dog", "the weight 1e999 must be positive"),
        ("", "is empty"),
        ("2:", "is empty"),
        ("2: ", "is empty"),
    ],
)
def test_terms_that_are_refused(term: str, complaint: str) -> None:
    with pytest.raises(QueryError, match=complaint):
        parse_weighted(term)


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """A picture of every colour, indexed."""
    folder = tmp_path / "colours"
    folder.mkdir()
    for name in COLOURS:
        picture(name).save(folder / f"{name}.png")
    with Library.create(folder) as library:
        library.index([folder], FakeEncoder)
    return folder


def test_colours_add_and_subtract(colours: Path) -> None:
    with Engine(Library.open(colours), lambda name: FakeEncoder()) as engine:

        def best(text: str = "", **terms: Any) -> str:
            return engine.search(text, k=1, **terms)[0].path.stem

        assert best("red") == "red"
        assert best("red", plus=["blue"]) == "purple"
        assert best("red", plus=[Weighted("blue", 0.1)]) == "red"
        assert best("purple", minus=["red"]) == "blue"
        assert best(images=[picture("green")], plus=["blue"]) == "turquoise"
        assert best("white", minus=["blue"]) == "yellow"


def test_the_query_pictures_are_left_out(colours: Path, tmp_path: Path) -> None:
    red, blue = colours / "red.png", colours / "blue.png"
    with Engine(Library.open(colours), lambda name: FakeEncoder()) as engine:
        names = [hit.path.stem for hit in engine.search(images=[red, str(blue)], k=20)]
        assert names[0] == "purple"
        assert sorted(names) == sorted(set(COLOURS) - {"red", "blue"})
        # the same bytes at another path are another file
        (tmp_path / "copy.png").write_bytes(red.read_bytes())
        assert engine.search(images=[tmp_path / "copy.png"], k=1)[0].path == red
        names = [hit.path.stem for hit in engine.similar(red, k=20, plus=["blue"])]
        assert (names[0], len(names)) == ("purple", len(COLOURS) - 1)
        assert engine.similar(colours / "purple.png", k=1, minus=["red"])[0].path == blue


def test_a_query_that_cancels_is_refused(colours: Path) -> None:
    with (
        Engine(Library.open(colours), lambda name: FakeEncoder()) as engine,
        pytest.raises(QueryError, match="cancel each other: change one or its weight"),
    ):
        engine.similar(colours / "red.png", minus=["red"])
