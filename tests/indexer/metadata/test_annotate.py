"""The columns of a table become fields of items."""

import csv
import json
import os
import sys
from datetime import date
from hashlib import sha256

import pytest

from indexer import AnnotationError, AnnotationReport, LibraryLocked
from indexer.database.lock import writing

ROWS = [
    {"path": "a.png", "aesthetic": 5.5, "faces": 2, "tag": "boat", "public": True},
    {"path": "sub/b.png", "aesthetic": 4.0, "faces": None, "tag": "", "public": False},
    {"path": "gone.png", "aesthetic": 1.0, "faces": 1, "tag": "x", "public": True},
]
FIELDS = {
    "a.png": {"aesthetic": 5.5, "faces": 2.0, "tag": "boat", "public": 1.0},
    "sub/b.png": {"aesthetic": 4.0, "public": 0.0},
}


def write_csv(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({k: int(v) if isinstance(v, bool) else v for k, v in row.items()})


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n\n" for row in rows))


def write_parquet(path, rows):
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


WRITERS = {".csv": write_csv, ".jsonl": write_jsonl, ".parquet": write_parquet}


@pytest.fixture
def pair(photos):
    """Photos with a.png and sub/b.png."""
    photos.paint("a.png", "red")
    photos.paint("sub/b.png", "green")
    photos.index()
    return photos


def fields(photos, *names):
    found = {name: photos.library.find(photos.folder / name) for name in names}
    return {name: dict(item.fields) for name, (item,) in found.items()}


@pytest.mark.parametrize("ending", WRITERS)
def test_every_kind_of_table(pair, ending, must_not_load):
    table = pair.folder / f"scores{ending}"
    WRITERS[ending](table, ROWS)
    empty = 1 if ending == ".jsonl" else 2  # a null in JSON is no empty cell
    for _ in range(2):  # the second changes nothing
        assert pair.library.annotate(table) == AnnotationReport(2, 1, ("gone.png",), empty)
        assert fields(pair, "a.png", "sub/b.png") == FIELDS
    report = pair.library.index([], must_not_load)
    assert (report.unchanged, report.updated) == (2, 0)


@pytest.mark.parametrize("ending", WRITERS)
def test_rows_match_by_digest_in_any_case(pair, ending, tmp_path):
    pair.paint("copy.png", "red")
    pair.index()
    digest = sha256((pair.folder / "a.png").read_bytes()).hexdigest()
    table = tmp_path / f"scores{ending.upper()}"
    rows = [{"SHA256": digest.upper(), "n": 1.0}, {"SHA256": "0" * 64, "n": 2.0}]
    WRITERS[ending](table, [*rows, {"SHA256": "hello", "n": 2.0}])
    assert pair.library.annotate(table) == AnnotationReport(1, 2, ("0" * 64, "hello"))
    assert fields(pair, "a.png", "copy.png", "sub/b.png") == {
        "a.png": {"n": 1.0},
        "copy.png": {"n": 1.0},
        "sub/b.png": {},
    }


def test_the_digest_counts_more_than_the_path(pair):
    digest = sha256((pair.folder / "a.png").read_bytes()).hexdigest()
    table = pair.write("t.csv", f"path,sha256,n\nsub/b.png,{digest},1\nsub/b.png,{'0' * 64},2\n")
    assert pair.library.annotate(table).matched == 2
    assert fields(pair, "a.png", "sub/b.png") == {"a.png": {"n": 1.0}, "sub/b.png": {"n": 2.0}}


def test_paths_from_the_table_from_a_root_and_absolute(pair, tmp_path, monkeypatch):
    other = pair.paint("../other/c.png", "blue").resolve()
    pair.paint("../tables/a.png", "yellow")
    pair.index(pair.folder, other.parent, tmp_path / "tables")
    (tmp_path / "link").symlink_to(tmp_path / "other")
    table = tmp_path / "tables/t.csv"
    names = {
        "a.png": "../tables/a.png",  # the table's folder comes before the roots
        "../photos/a.png": "a.png",
        "c.png": "../other/c.png",
        f"{pair.folder}/sub/../sub/b.png": "sub/b.png",
    }
    monkeypatch.chdir(tmp_path)
    for name, meant in names.items():
        table.write_text(f'path,n\n"{name}","{name}"\n')
        assert pair.library.annotate(table.relative_to(tmp_path)).matched == 1, name
        assert fields(pair, meant) == {meant: {"n": name}}
    table.write_text(f"path,n\n{tmp_path}/link/c.png,5\n")
    assert pair.library.annotate(table).matched == 1
    assert fields(pair, "../other/c.png") == {"../other/c.png": {"n": 5.0}}


def test_texts_have_fields_too(pair):
    captions = pair.write("c.txt", "one\ntwo")
    pair.index(pair.folder, captions)
    pair.library.annotate(pair.write("t.csv", "path,n\nc.txt,5\n"))
    assert [dict(item.fields) for item in pair.library.find(captions)] == [{"n": 5.0}] * 2


def test_annotating_again_replaces_fields_of_the_same_name(pair):
    pair.library.annotate(pair.write("t.csv", "path,a,b\na.png,1,x\na.png,2,\n"))
    assert fields(pair, "a.png") == {"a.png": {"a": 2.0, "b": "x"}}
    pair.library.annotate(pair.write("t.csv", "path,b,c\na.png,7,z\n"))
    assert fields(pair, "a.png") == {"a.png": {"a": 2.0, "b": 7.0, "c": "z"}}
    pair.library.annotate(pair.write("t.csv", "path,b,c\na.png,y,\n"))
    assert fields(pair, "a.png") == {"a.png": {"a": 2.0, "b": "y", "c": "z"}}


def test_annotations_survive_moves_and_sidecars(pair, must_not_load):
    sidecar = pair.write("a.json", '{"n": 1, "of": "sidecar"}')
    pair.rescan()
    pair.library.annotate(pair.write("t.csv", "path,n,m\na.png,2,3\n"))
    assert fields(pair, "a.png") == {"a.png": {"m": 3.0, "n": 2.0, "of": "sidecar"}}
    sidecar.write_text('{"n": 10, "m": 10, "of": "another"}')
    assert pair.library.index([], must_not_load).updated == 1
    assert fields(pair, "a.png") == {"a.png": {"m": 3.0, "n": 2.0, "of": "another"}}
    sidecar.unlink()
    (pair.folder / "a.png").rename(pair.folder / "z.png")
    assert pair.library.index([], must_not_load).moved == 1
    assert fields(pair, "z.png") == {"z.png": {"m": 3.0, "n": 2.0}}


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("5", 5.0),
        (" -0.5e1 ", "-0.5e1"),
        (".5", ".5"),
        ("5.", "5."),
        ("1_000", "1_000"),
        ("1e999", "1e999"),
        ("0x10", "0x10"),
        (" 5 boats ", "5 boats"),
        ("Åland", "Åland"),
    ],
)
def test_cells_of_a_csv_table(pair, cell, value):
    pair.library.annotate(pair.write("t.csv", f"\ufeff Path , n \na.png,{cell}\n"))
    assert fields(pair, "a.png") == {"a.png": {"n": value}}


def test_values_of_json_lines(pair):
    row = {"path": "a.png", "n": "5", "t": False, "o": {}, "l": [1, 2], "none": None, "": 1}
    pair.write("t.jsonl", json.dumps(row | {"half": "\ud800", "\ud800": 1}))
    pair.library.annotate(pair.folder / "t.jsonl")
    assert fields(pair, "a.png") == {"a.png": {"n": "5", "t": False, "l": (1, 2)}}


def test_values_of_parquet(pair):
    digest = sha256((pair.folder / "a.png").read_bytes()).digest()
    row = {"sha256": digest, "on": date(2024, 5, 6), "n": 2**40, "raw": b"x", "nan": float("nan")}
    write_parquet(pair.folder / "t.parquet", [row])
    assert pair.library.annotate(pair.folder / "t.parquet").matched == 1
    assert fields(pair, "a.png") == {"a.png": {"n": 2.0**40, "on": "2024-05-06"}}


def test_rows_that_match_no_item(pair):
    odd = ["gone.png", "", "\0", "half \ud800", "../../../a.png", "/", ".", "sub", 5, None]
    rows = [{"path": path, "n": 1} for path in odd]
    pair.write("t.jsonl", "\n".join(json.dumps(row) for row in rows))
    report = pair.library.annotate(pair.folder / "t.jsonl")
    assert (report.matched, report.unmatched) == (0, 10)
    assert report.examples == ("gone.png", "row 2", "\0", "row 4", "../../../a.png")
    assert fields(pair, "a.png") == {"a.png": {}}


def test_names_in_any_bytes(pair):
    pair.paint(b"caf\xe9.png", "blue")
    pair.index()
    pair.write("t.jsonl", json.dumps({"path": os.fsdecode(b"caf\xe9.png"), "n": 1}))
    assert pair.library.annotate(pair.folder / "t.jsonl").matched == 1


def test_more_rows_than_a_chunk(pair):
    rows = [{"path": "a.png", "n": float(n)} for n in range(1201)]
    write_jsonl(pair.folder / "t.jsonl", [*rows, {"path": "x", "n": 0.0}])
    assert pair.library.annotate(pair.folder / "t.jsonl") == AnnotationReport(1201, 1, ("x",))
    assert fields(pair, "a.png") == {"a.png": {"n": 1200.0}}


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("t.jsonl", b'{"path": "a.png", "n": 1}\n{"path"', "line 2: is not a JSON object"),
        ("t.jsonl", b'{"path": "a.png", "n": 1}\n\n[1]', "line 3: is not a JSON object"),
        (
            "t.jsonl",
            b'{"path": "a.png", "n": 1, "n": 2}',
            "line 1: has the name 'n' more than once",
        ),
        (
            "t.csv",
            b"file,n\na.png,1\n",
            "line 1: names no column path or sha256, which must say what a row is about: 'file, n'",
        ),
        (
            "t.jsonl",
            b'{"path": "a.png", "n": 1}\n{"n": 1}',
            "line 2: has neither path nor sha256: one of them must say what is meant",
        ),
        ("t.csv", b"path,n\na.png,1\na.png,caf\xe9\n", "is not UTF-8 (invalid continuation byte)"),
        ("t.csv", b"path,n\na.png,1\n" + b"x" * 200_000, "line 3: is not CSV (field larger than"),
        ("t.parquet", b"no table at all", "is not a Parquet table: "),
        ("t.txt", b"", "is none of .csv .jsonl .parquet; convert it or rename it"),
    ],
)
def test_a_table_that_cannot_be_read_changes_nothing(pair, name, data, problem):
    table = pair.write(name, data)
    with pytest.raises(AnnotationError) as caught:
        pair.library.annotate(table)
    assert str(caught.value).replace(",", "", 1).startswith(f"{table} {problem}")
    assert "\n" not in str(caught.value)
    assert fields(pair, "a.png") == {"a.png": {}}


def test_a_table_that_does_not_exist(pair):
    with pytest.raises(AnnotationError) as caught:
        pair.library.annotate(pair.folder / "t.csv")
    sentence = f"{pair.folder / 't.csv'} cannot be read: No such file or directory"
    assert str(caught.value) == sentence


def test_parquet_without_pyarrow_says_what_to_install(pair, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    table = pair.write("t.parquet", "")
    with pytest.raises(AnnotationError) as caught:
        pair.library.annotate(table)
    assert str(caught.value) == (
        f"{table} needs pyarrow to be read: pip install 'align-retrieval[parquet]'"
    )


def test_one_writer_at_a_time(pair):
    table = pair.write("t.csv", "path,n\na.png,1\n")
    with writing(pair.library.path), pytest.raises(LibraryLocked):
        pair.library.annotate(table)
    assert fields(pair, "a.png") == {"a.png": {}}
