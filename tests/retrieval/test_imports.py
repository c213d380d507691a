"""Embeddings of other programs become items that no run takes away."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

from encoder import AlignError, FakeEncoder
from indexer import Filters, Library, ModelMismatch
from retrieval import Engine, open_library
from retrieval.cli import main

WORDS = ("red", "green", "blue", "yellow")


def clip_output(folder: Path, rows: list[dict[str, Any]], parts: int = 2) -> Path:
    """What clip-retrieval writes: arrays and tables, in parts."""
    vectors = FakeEncoder().encode_texts(WORDS[: len(rows)]) * 3  # of any length
    (folder / "img_emb").mkdir(parents=True)
    (folder / "metadata").mkdir()
    for n, some in enumerate(np.array_split(np.arange(len(rows)), parts)):
        np.save(folder / f"img_emb/img_emb_{n}.npy", vectors[some].astype(np.float16))
        table = pyarrow.Table.from_pylist([rows[i] for i in some])
        parquet.write_table(table, folder / f"metadata/metadata_{n}.parquet")
    return folder


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return [
        {"image_path": "/data/a.jpg", "caption": "a red thing", "NSFW": "no", "similarity": 0.3},
        {"image_path": "b.jpg", "caption": None, "NSFW": "no", "similarity": 0.2},
        {"image_path": "/data/c.jpg", "caption": "blue", "NSFW": "yes", "similarity": 0.1},
    ]


@pytest.fixture
def photos(tmp_path: Path, rows: list[dict[str, Any]]):
    source = clip_output(tmp_path / "clip", rows)
    with open_library(tmp_path / "library", create=True, encoder=FakeEncoder()) as photos:
        report = photos.import_embeddings(source)
        assert (report.added, report.replaced, report.watched) == (3, 0, 0)
        yield photos


def test_the_output_of_clip_retrieval(photos: Engine, tmp_path: Path) -> None:
    found = photos.search("red", k=3)
    assert str(found[0].path) == "/data/a.jpg"
    assert found[0].score == pytest.approx(1, abs=1e-3)
    assert {str(hit.path) for hit in found} == {
        "/data/a.jpg",
        f"{tmp_path}/clip/b.jpg",
        "/data/c.jpg",
    }
    assert (found[0].text, found[0].fields["similarity"]) == ("a red thing", 0.3)
    only = photos.search("red", filters=Filters.parse(fields=["NSFW=yes"]))
    assert [hit.path.name for hit in only] == ["c.jpg"]


def test_nothing_takes_them_away_but_forgetting(photos: Engine, tmp_path: Path) -> None:
    assert photos.index().deleted == 0
    assert photos.library.index([], FakeEncoder, allow_missing=True).deleted == 0
    (tmp_path / "own").mkdir()
    assert photos.index(tmp_path / "own").deleted == 0
    assert len(photos) == 3
    assert photos.library.verify(read_data=(1, 1)) == []
    (root,) = [root for root in photos.library.roots() if root.imported]
    assert (root.path, root.files, root.state) == (Path("/"), 3, "ok")
    with pytest.raises(ModelMismatch, match="3 imported items, which cannot be embedded again"):
        photos.library.index([], lambda: FakeEncoder("other", "07e5"), reembed=True)
    assert photos.library.forget([Path("/data/a.jpg")]).items == 1
    assert photos.library.forget([Path("/")]).items == 2
    assert len(photos) == 0


def test_importing_again_replaces(
    photos: Engine, tmp_path: Path, rows: list[dict[str, Any]]
) -> None:
    rows[0]["caption"] = "another"
    again = clip_output(tmp_path / "second", [rows[0], rows[2]], parts=1)
    report = photos.import_embeddings(again)
    assert (report.added, report.replaced) == (0, 2)
    assert len(photos) == 3
    (item,) = photos.library.find(Path("/data/a.jpg"))
    assert item.text == "another"


def test_paths_in_watched_folders_are_left_out(photos: Engine, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    photos.index(own)
    source = clip_output(tmp_path / "more", [{"image_path": str(own / "x.jpg"), "caption": "x"}], 1)
    assert photos.import_embeddings(source).watched == 1
    assert photos.library.find(own / "x.jpg") == []


def test_what_align_exports_comes_back(engine: Engine, folder: Path, tmp_path: Path) -> None:
    (folder / "red.json").write_text('{"mood": "calm", "n": 5}')
    engine.index()
    engine.export(tmp_path / "all.parquet")
    engine.export(tmp_path / "out")
    for n, source in enumerate((tmp_path / "all.parquet", tmp_path / "out")):
        with open_library(tmp_path / f"l{n}", create=True, encoder=FakeEncoder()) as other:
            assert other.import_embeddings(source).added == 3
            assert [hit.path for hit in other.search("red")] == [
                hit.path for hit in engine.search("red")
            ]
            (item,) = other.library.find(folder / "red.png")
            assert dict(item.fields) == {"mood": "calm", "n": 5}
            assert item.digest == engine.library.find(folder / "red.png")[0].digest


def test_an_array_and_its_table(tmp_path: Path) -> None:
    np.save(tmp_path / "emb.npy", FakeEncoder().encode_texts(["red", "blue"]))
    (tmp_path / "t.csv").write_text("path,n\na.jpg,1\nb.jpg,2\n")
    with open_library(tmp_path / "l", create=True, encoder=FakeEncoder()) as photos:
        assert photos.import_embeddings(tmp_path / "emb.npy", tmp_path / "t.csv").added == 2
        assert photos.search("blue", k=1)[0].fields == {"n": 2}


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (3, "has more embeddings than its table rows: 1"),
        (1, "has fewer embeddings than its table rows: 1"),
    ],
)
def test_embeddings_and_rows_that_do_not_fit(tmp_path: Path, names: int, problem: str) -> None:
    np.save(tmp_path / "emb.npy", np.ones((names, 4), np.float32))
    table = tmp_path / "t.jsonl"
    rows = 1 if names > 1 else 2
    table.write_text("".join(json.dumps({"path": f"{n}.jpg"}) + "\n" for n in range(rows)))
    with (
        open_library(tmp_path / "l", create=True, encoder=FakeEncoder()) as photos,
        pytest.raises(AlignError, match=problem),
    ):
        photos.import_embeddings(tmp_path / "emb.npy", table)


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.ones((1, 5), np.float32), "has the shape .*, but the model has 4 dimensions"),
        (np.zeros((1, 4), np.float32), "has no direction"),
        (np.full((1, 4), np.nan, np.float32), "has no direction"),
        (np.ones((1, 4), np.int8), "is no array .* of floats"),
        (np.ones(4, np.float32), "is no array .* of floats"),
    ],
)
def test_vectors_that_are_refused(tmp_path: Path, array: Any, problem: str) -> None:
    np.save(tmp_path / "emb.npy", array)
    (tmp_path / "t.jsonl").write_text('{"path": "a.jpg"}\n')
    with open_library(tmp_path / "l", create=True, encoder=FakeEncoder()) as photos:
        with pytest.raises(AlignError, match=problem):
            photos.import_embeddings(tmp_path / "emb.npy", tmp_path / "t.jsonl")
        assert len(photos) == 0


def test_damage_that_cannot_be_mended_is_told(photos: Engine) -> None:
    import sqlite3
    from contextlib import closing

    (item,) = photos.library.find(Path("/data/a.jpg"))
    with closing(sqlite3.connect(photos.library.path / "library.db")) as db, db:
        db.execute("DELETE FROM embeddings WHERE item_id = ?", (item.id,))
    assert any(finding.what == "embedding" for finding in photos.library.verify())
    done = photos.library.repair(FakeEncoder)
    assert "1 imported items: import them again with `align import`" in done.lost
    assert photos.library.verify() == []
    assert len(photos) == 2


def test_another_model_is_refused(photos: Engine, tmp_path: Path) -> None:
    from retrieval.imports import read_embeddings

    with pytest.raises(ModelMismatch, match="vectors of two models cannot be compared"):
        photos.library.import_embeddings(
            read_embeddings(tmp_path / "clip"), lambda: FakeEncoder("other", "07e5")
        )


@pytest.fixture
def align(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("encoder.load_encoder", lambda *_: FakeEncoder(), raising=False)

    def run(*arguments: object, status: int = 0) -> Result:
        result = CliRunner().invoke(main, [str(a) for a in arguments])
        assert result.exit_code == status, result.output
        return result

    return run


def test_the_command(align, tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    source = clip_output(tmp_path / "clip", rows)
    options = ("--model", "fake", "--library", tmp_path / "l")
    assert align("import", source, *options).stdout == f"3 items added: {tmp_path}/l/.align\n"
    said = align("import", source, *options).stdout
    assert said == f"0 items added, 3 replaced: {tmp_path}/l/.align\n"
    assert "imported, never scanned" in align("roots", "--library", tmp_path / "l").stdout
    with Library.open(tmp_path / "l") as library:
        assert library.status().counts["image"] == 3
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no img_emb/*.npy" in align("import", empty, *options, status=1).stderr
