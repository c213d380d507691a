"""Token files, CSV tables and JSON lines."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from encoder import DatasetError
from encoder.datasets import Dataset, StoredPicture, open_dataset

AWKWARD = [
    'a "quoted" dog',
    "commas, commas, commas",
    "tab\tinside",
    "it's 100 % \\n fine",
    "line\u2028separator and \x85next line",
    "人が海辺を歩く",
    "emoji 🐕 and café",
    "#3 a number",
    "{not json}",
]
"""Captions that careless readers cut, split or garble."""


def opened(
    annotations: Path, name: str = "custom", split: str | None = None, names: Path | None = None
) -> Dataset:
    return open_dataset(name, annotations=annotations, images=None, split=split, names=names)


def contents(dataset: Dataset) -> list[tuple[str, tuple[str, ...]]]:
    return [(example.picture.name, example.captions) for example in dataset.examples]


def written(file: Path, *lines: str, end: str = "\n", bom: bool = False) -> Path:
    text = "".join(line + end for line in lines)
    file.write_bytes(text.encode("utf-8-sig" if bom else "utf-8"))
    return file


TOKENS = [
    "1000268201_693b08cb0e.jpg#0\tA child in a pink dress . ",
    "1000268201_693b08cb0e.jpg#2\tA girl going in",
    "1000268201_693b08cb0e.jpg#1\tA girl going in",
    "2258277193_586949ec62.jpg.1#0\tpeople waiting for the subway",
    "2258277193_586949ec62.jpg.1#1\tSome people waiting .",
    "",
    "997722733_0cb5439472.jpg#0\t",
    "997722733_0cb5439472.jpg#1\tA man\tin a pink shirt",
    "1000268201_693b08cb0e.jpg#3\tlate",
]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [False, True])
def test_tokens_keep_the_order_of_lines(tmp_path: Path, end: str, bom: bool) -> None:
    dataset = opened(written(tmp_path / "tokens", *TOKENS, end=end, bom=bom), "flickr8k")
    assert (dataset.split, dataset.layout) == ("all", "Flickr token file")
    assert contents(dataset) == [
        (
            "1000268201_693b08cb0e.jpg",
            ("A child in a pink dress .", "A girl going in", "A girl going in", "late"),
        ),
        ("997722733_0cb5439472.jpg", ("A man\tin a pink shirt",)),
    ]
    assert dataset.notes == (
        "Left out, because no picture has such a name: 2258277193_586949ec62.jpg.1.",
        "tokens has no splits: this is the whole of it, not Karpathy's test split of 1,000"
        " pictures, which published figures are of.",
        "Empty captions left out: 1.",
    )


def test_a_list_of_names_is_the_split(tmp_path: Path) -> None:
    tokens = written(tmp_path / "Flickr8k.token.txt", *TOKENS)
    names = written(tmp_path / "Flickr_8k.testImages.txt", "997722733_0cb5439472.jpg", end="\r\n")
    dataset = opened(tokens, "flickr8k", names=names)
    assert contents(dataset) == [("997722733_0cb5439472.jpg", ("A man\tin a pink shirt",))]
    assert dataset.split == "Flickr_8k.testImages"
    assert dataset.notes[1:] == ("Empty captions left out: 1.",)
    assert opened(tokens, "flickr8k", split="test", names=names).split == "test"
    with pytest.raises(DatasetError, match=r"no split test: choose from .*, all \(2\)"):
        opened(tokens, "flickr8k", split="test")


def test_awkward_captions_of_tokens_stay_whole(tmp_path: Path) -> None:
    lines = [f"köln 1#a.jpg#{n}\t{caption}" for n, caption in enumerate(AWKWARD)]
    assert contents(opened(written(tmp_path / "tokens.txt", *lines))) == [
        ("köln 1#a.jpg", tuple(AWKWARD))
    ]


@pytest.mark.parametrize("name", ["[b].jpg", "{b}.jpg"])
def test_names_of_tokens_may_begin_like_json(tmp_path: Path, name: str) -> None:
    file = written(tmp_path / "tokens.txt", f"{name}#0\tone", f"{name}#1\ttwo")
    assert contents(opened(file)) == [(name, ("one", "two"))]


def test_awkward_captions_of_csv_stay_whole(tmp_path: Path) -> None:
    captions = [*AWKWARD, "two\nlines", "two\r\nlines", "x" * 100_000]
    with open(tmp_path / "mine.csv", "w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows(
            [("id", "Image", "caption ", "note")]
            + [(n, "köln.jpg", caption, 3) for n, caption in enumerate(captions)]
        )
    dataset = opened(tmp_path / "mine.csv")
    assert contents(dataset) == [("köln.jpg", tuple(captions))]
    assert (dataset.split, dataset.layout, dataset.notes) == ("all", "CSV", ())


def test_csv_rows_of_a_picture_may_lie_anywhere(tmp_path: Path) -> None:
    file = written(
        *(tmp_path / "mine.csv", "", "caption,image,split", "one, b.jpg ,test"),
        *(
            '"two, too", a.jpg,train',
            "",
            'three," b.jpg ",test',
            ",c.jpg,test",
            "four, b.jpg ,test",
        ),
        end="\r\n",
    )
    dataset = opened(file)
    assert contents(dataset) == [("b.jpg", ("one", "three", "four"))]
    assert dataset.notes == (
        "Empty captions left out: 1.",
        "Pictures left out that have no caption: 1, such as c.jpg.",
    )
    assert contents(opened(file, split="train")) == [("a.jpg", ("two, too",))]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["file,text", "a.jpg,a cat"],
            "first line: 'file,text' has no known format; .* columns image and",
        ),
        (["image;caption", "a.jpg;a cat"], "separated by commas"),
        (["a.jpg,a cat"], "or the header of a table"),
        (
            ["image,caption", "a.jpg,a cat", "b.jpg,a dog, running"],
            "line 3: the header has columns: 2, this row: 3;",
        ),
        (["image,caption", "a.jpg"], "line 2: the header has columns: 2, this row: 1"),
        (["image,caption", "a.jpg,a cat", 'b.jpg,"a dog', "c.jpg,a", "d.jpg,a"], "line 3: is not"),
        (["image,caption", 'a.jpg,"a" dog'], "line 2: is not CSV .*quote"),
        (["image,caption", f"a.jpg,{'x' * 200_000}"], "line 2: is not CSV"),
        (["image,caption", ",a cat"], "line 2: names no picture"),
        (["image,caption,split", "a.jpg,a cat,test", "b.jpg,a dog,"], "line 3: b.jpg has no split"),
        (
            ["image,caption,split", "a.jpg,a,test", "b.jpg,a,test", "a.jpg,b,val"],
            "line 4: a.jpg has the split val, but in line 2 test",
        ),
        (["image,caption,caption", "a.jpg,a,b"], "line 1: the header has the column caption more"),
        (["image,caption"], "holds no pictures"),
        (["a.jpg#0\ta cat", "a.jpg#1 a cat"], "line 2: is not name.jpg#0, a tab and a caption"),
        (["a.jpg#0\ta cat", "\ta cat"], "line 2: is not name.jpg#0"),
        (["../a.jpg#0\ta cat"], "line 1: ../a.jpg leads out"),
        (["/a.jpg#0\ta cat"], "line 1: /a.jpg is an absolute path"),
        (["a.jpg.1#0\ta cat"], "holds no pictures"),
        (["x" * 200_000], "first line: "),
        (["\x00\x01\r\x02"], "first line: "),
        (['{"image": "a.jpg", "captions": ["a"]}', "", "{"], "line 3: is not a JSON object"),
        (['{"image": "a.jpg", "captions": ["a"]}', '["a"]'], "line 2: is not a JSON object"),
        (
            ['{"image": "a.jpg", "caption": "a", "caption": "b"}'],
            "line 1: has the name 'caption' more",
        ),
        (['{"file": "a.jpg"}', "{}"], "line 1: has no image, which must be a text"),
        (['{"image": "a.jpg"}'], "line 1: has no captions, which must be a list of texts"),
        (['{"image": "a.jpg", "captions": [3]}'], "line 1: has no captions"),
        (['{"image": "a.jpg", "captions": {"en": "a"}}'], "line 1: has no captions"),
        (['{"image": "a.jpg", "caption": "\\ud83d"}'], "line 1: a caption holds half a character"),
        (['{"image": "\\udcff.jpg", "caption": "a"}'], "line 1: image holds half a character"),
        (['{"image": "a.jpg", "caption": "a", "split": 3}'], "line 1: has no split, which must"),
    ],
)
def test_bad_tables_are_one_clear_sentence(tmp_path: Path, lines: list[str], message: str) -> None:
    file = written(tmp_path / "mine", *lines)
    with pytest.raises(DatasetError, match=message) as caught:
        opened(file)
    assert str(caught.value).startswith(str(file))
    assert len(str(caught.value)) < 500


def objects(file: Path, *values: dict[str, Any], end: str = "\n", bom: bool = False) -> Path:
    return written(file, *(json.dumps(v, ensure_ascii=False) for v in values), end=end, bom=bom)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("bom", [False, True])
def test_json_lines(tmp_path: Path, end: str, bom: bool) -> None:
    file = objects(
        tmp_path / "mine.jsonl",
        {"image": "köln.jpg", "captions": [*AWKWARD, " two\nlines "], "width": 3},
        {"caption": "one", "image": "b.jpg", "split": None},
        {"image": "c.jpg", "caption": ["x", ""]},
        {"image": "b.jpg", "captions": "two"},
        end=end,
        bom=bom,
    )
    dataset = opened(file)
    assert contents(dataset) == [
        ("köln.jpg", (*AWKWARD, "two\nlines")),
        ("b.jpg", ("one", "two")),
        ("c.jpg", ("x",)),
    ]
    assert (dataset.layout, dataset.split) == ("JSON lines", "all")
    assert dataset.notes == ("Empty captions left out: 1.",)


def test_one_json_line_is_enough(tmp_path: Path) -> None:
    file = objects(tmp_path / "mine.json", {"image": "a", "captions": ["b"], "split": "val"})
    assert contents(opened(file, split="val")) == [("a", ("b",))]
    with pytest.raises(DatasetError, match=r"no split test: choose from .*, val \(1\)"):
        opened(file)


def test_a_user_may_write_absolute_paths(tmp_path: Path) -> None:
    far = tmp_path / "far" / "a.jpg"
    tables = [
        objects(tmp_path / "mine.jsonl", {"image": str(far), "caption": "a"}),
        written(tmp_path / "mine.csv", "image,caption", f"{far},a"),
    ]
    for table in tables:
        assert opened(table).examples[0].picture == StoredPicture(str(far), far)


def test_pictures_lie_beside_their_table_by_default(tmp_path: Path) -> None:
    table = objects(tmp_path / "mine.jsonl", {"image": "sub/a.jpg", "caption": "a"})
    (tmp_path / "a.jpg").touch()  # not the picture: a user may use one name in two folders
    picture = opened(table).examples[0].picture
    assert picture == StoredPicture("sub/a.jpg", tmp_path / "sub" / "a.jpg")
    assert not picture.exists()
    (tmp_path / "sub").mkdir()
    picture.path.touch()
    assert picture.exists()


CSV_OF_ONE = ["image,caption", "../photos/a.jpg,a cat", "../photos/./a.jpg,a dog"]
JSON_OF_ONE = [
    '{"image": "../photos/a.jpg", "caption": "a cat"}',
    '{"image": "./../photos/a.jpg", "caption": "a dog"}',
]


@pytest.mark.parametrize("lines", [CSV_OF_ONE, JSON_OF_ONE])
def test_names_with_dots_are_one_picture_wherever_it_lies(tmp_path: Path, lines: list[str]) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "tables").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "photos/a.jpg")
    file = written(tmp_path / "tables/mine", *lines)
    opened = open_dataset("custom", annotations=file, images=None, split=None)
    (example,) = opened.examples
    assert example.captions == ("a cat", "a dog")
    assert example.picture.exists()
