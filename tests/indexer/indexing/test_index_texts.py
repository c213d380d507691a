"""Files of texts: their formats, and what happens when they change."""

import pytest

from encoder.errors import TextError
from indexer.metadata.texts import read_texts

NO_COLUMN = "the first line of a CSV table must name a column 'caption' or 'text'"
NO_CAPTION = "line 1 is not an object with a 'caption', 'captions' or 'text'"
TOO_LONG = (
    "line 2: is not CSV (field larger than field limit (131072)); look for a quote that nothing"
    " closes"
)
RAGGED = "line 3: the header has columns: 2, this row: 1; put a cell with commas into double quotes"


@pytest.mark.parametrize(
    ("ending", "data", "texts"),
    [
        (".txt", b"a dog\n\n  two cats \r\nend", ["a dog", "two cats", "end"]),
        (".txt", b"\xef\xbb\xbfbom\rmac", ["bom", "mac"]),
        (".txt", "a\u2028b\x0bc\n".encode(), ["a\u2028b\x0bc"]),
        (".txt", b"", []),
        (".csv", b'id,Caption\n1,a dog\n2,\n3,"a, b\nc"\n4,\n', ["a dog", "a, b\nc"]),
        (".csv", b"text,caption\nno,yes\n", ["yes"]),
        (".csv", b"\xef\xbb\xbftext\nyes\n", ["yes"]),
        (".jsonl", b'{"caption": "a"}\n\n{"captions": ["b", " c "]}\n{"text": "d"}', [*"abcd"]),
        (".jsonl", b'{"captions": [], "x": 1}', []),
    ],
)
def test_texts_of_a_file(ending, data, texts):
    assert read_texts(data, ending) == texts


@pytest.mark.parametrize(
    ("ending", "data", "reason"),
    [
        (".txt", b"caf\xe9", "not UTF-8 at byte 3"),
        (".csv", b"id,name\n", NO_COLUMN),
        (".csv", b"", NO_COLUMN),
        (".csv", b"id,text\n1,a\n2\n", RAGGED),
        (
            ".csv",
            b"text,text\na,b\n",
            "line 1: the header has the column text more than once; rename one",
        ),
        (".csv", b"text\n" + b"x" * 200_000, TOO_LONG),
        (".jsonl", b'{"text": "a"}\nnope', "line 2 is not a JSON object"),
        (".jsonl", b"[" * 100_000, "line 1 is not a JSON object"),
        (".jsonl", b'{"text": "a", "text": "b"}', "line 1 has the name 'text' more than once"),
        (".jsonl", b'{"name": 1}', NO_CAPTION),
        (".jsonl", b'["a"]', "line 1 is not a JSON object"),
        (".jsonl", b'{"captions": ["a", 1]}', NO_CAPTION),
        (".jsonl", b'{"text": "\\ud800"}', NO_CAPTION),
    ],
)
def test_a_file_without_texts_fails_with_the_reason(ending, data, reason):
    with pytest.raises(TextError) as caught:
        read_texts(data, ending)
    assert str(caught.value) == reason


def texts_of(photos, path):
    return [(item.id, item.position, item.text) for item in photos.library.find(path)]


def test_texts_are_read_only_when_named_and_then_watched(photos):
    path = photos.write("sub/c.txt", "a red thing\na green thing\n")
    photos.paint("a.png", "blue")
    assert photos.index() == {"added": 1, "embedded": 1}
    assert photos.index(path) == {"added": 2, "embedded": 2}
    assert texts_of(photos, path) == [(2, 0, "a red thing"), (3, 1, "a green thing")]
    assert photos.nearest("green", 5, kind="text") == [3, 2]
    assert photos.nearest("green", 5) == [1]

    photos.write("sub/c.txt", "a red thing\na green thing\nblue\n")
    photos.touch(path)
    assert photos.rescan() == {"added": 1, "unchanged": 3, "embedded": 1}
    path.unlink()
    assert photos.index() == {"deleted": 3, "unchanged": 1}
    assert photos.library.status().counts == {"image": 1, "text": 0}


def test_texts_that_remain_keep_id_and_embedding(photos, counting):
    path = photos.write("c.txt", "red\ngreen\nblue\ngreen\n")
    assert photos.index(path) == {"added": 3, "copied": 1, "embedded": 3}
    photos.write("c.txt", "white\ngreen\nred\ngreen\n")
    encoder = counting()
    assert photos.rescan(encoder=encoder) == {"changed": 1, "unchanged": 3, "embedded": 1}
    assert encoder.batches == [1]
    assert texts_of(photos, path) == [
        (5, 0, "white"),
        (2, 1, "green"),
        (1, 2, "red"),
        (4, 3, "green"),
    ]
    photos.write("c.txt", "green\n")
    assert photos.rescan() == {"unchanged": 1, "deleted": 3}
    assert texts_of(photos, path) == [(2, 0, "green")]


def test_a_moved_file_of_texts_keeps_its_items(photos, must_not_load):
    path = photos.write("c.txt", "red\ngreen\n")
    photos.paint("a.png", "red")
    photos.index(photos.folder, path)
    moved = path.rename(photos.folder / "d.txt")
    report = photos.library.index([photos.folder, moved], must_not_load)
    assert (report.moved, report.unchanged, report.deleted) == (2, 1, 0)
    assert texts_of(photos, moved) == [(2, 0, "red"), (3, 1, "green")]


def test_many_texts_take_several_batches(photos, counting, sql):
    path = photos.write("c.txt", "\n".join(f"text {n}" for n in range(10)))
    encoder = counting()
    assert photos.index(path, encoder=encoder, batch_size=4) == {"added": 10, "embedded": 10}
    assert encoder.batches == [4, 4, 2]
    assert [row[1:] for row in texts_of(photos, path)] == [(n, f"text {n}") for n in range(10)]
    assert sql(photos.library, "SELECT size FROM files") == [(path.stat().st_size,)]


def test_texts_interrupted_in_the_middle_of_a_file_go_on(photos, counting):
    path = photos.write("c.txt", "\n".join(f"text {n}" for n in range(10)))
    with pytest.raises(KeyboardInterrupt):
        photos.index(path, encoder=counting(fail_at=3), batch_size=4)
    assert [row[2] for row in texts_of(photos, path)] == [f"text {n}" for n in range(8)]
    encoder = counting()
    assert photos.rescan(encoder=encoder, batch_size=4) == {
        "added": 2,
        "unchanged": 8,
        "embedded": 2,
    }
    assert encoder.batches == [2]
    assert texts_of(photos, path) == [(n + 1, n, f"text {n}") for n in range(10)]


def test_unreadable_texts_are_a_failure(photos):
    path = photos.write("c.csv", "name\nx\n")
    assert photos.index(path) == {"failed": 1}
    assert [(f.path, f.reason) for f in photos.library.failures()] == [(path, NO_COLUMN)]
    photos.write("c.csv", "text\nred\n")
    assert photos.rescan() == {"added": 1, "embedded": 1}
    assert photos.library.failures() == []
