import os
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import Connection

from encoder import Decoders, Embeddings, FakeEncoder, PictureError, Pixels
from encoder.fake import COLOURS
from indexer import Item, Library, LibraryError, LibraryNotFound, ModelMismatch
from indexer.database import catalogue
from retrieval import Engine, Hit, open_library
from tests.encoder.deadly import CRASHES, HANGS, STARVES, DeadlyEncoder


def cosine(first: str, second: str) -> float:
    one, other = FakeEncoder().encode_texts([first, second])
    return float(one @ other)


def test_a_text_finds_pictures_best_first(engine: Engine, folder: Path) -> None:
    hits = engine.search("something red and a little blue", k=2)
    scores = [cosine("red blue", "red")] * 2  # equally near to both: the smaller id comes first
    first, second = (engine.library.find(folder / f"{name}.png")[0] for name in ("blue", "red"))
    assert first.id < second.id
    assert [asdict(hit) for hit in hits] == [
        {
            "rank": rank,
            "score": pytest.approx(score, abs=1e-3),
            "id": item.id,
            "kind": "image",
            "path": item.path,
            "text": None,
            "taken_at": None,
            "width": 12,
            "height": 8,
            "similar": None,
            "format": "PNG",
            "camera": None,
            "lens": None,
            "latitude": None,
            "longitude": None,
            "fields": {},
        }
        for rank, score, item in zip((1, 2), scores, (first, second), strict=True)
    ]
    assert hits.degraded is None
    assert [h.path.name for h in engine.search("green", k=1)] == ["green.png"]


def test_fewer_hits_only_if_fewer_pictures_exist(engine: Engine) -> None:
    assert [hit.rank for hit in engine.search("red", k=50)] == [1, 2, 3]


def test_an_open_engine_answers_with_the_new_model(folder: Path) -> None:
    """Another process embeds everything with a model of the same dimension that swaps colours."""

    class Swapped(FakeEncoder):
        def encode_texts(self, texts: Sequence[str]) -> Embeddings:
            swap = {"red": "green", "green": "red"}
            return super().encode_texts([swap.get(text, text) for text in texts])

        def encode_images(self, pictures: Sequence[Image.Image | Pixels]) -> Embeddings:
            rows = super().encode_images(pictures)
            return np.ascontiguousarray(rows[:, [1, 0, 2, 3]])

    loaded: list[str] = []

    def load(name: str) -> FakeEncoder:
        loaded.append(name)
        return Swapped("swapped", "0123") if name == "swapped" else FakeEncoder()

    with Engine(Library.open(folder), load) as engine:
        assert [hit.path.stem for hit in engine.search("red", k=1)] == ["red"]
        with Library.open(folder) as other:
            other.index([], lambda: Swapped("swapped", "0123"), reembed=True)
        assert [hit.path.stem for hit in engine.search("red", k=1)] == ["red"]
        assert engine.tag(["red", "green"], confidence=0.6, templates=["{}"]) == {
            "red": 1,
            "green": 1,
        }
        assert loaded == ["fake", "swapped"]


def test_a_file_of_the_library_is_not_similar_to_itself(engine: Engine, folder: Path) -> None:
    names = [hit.path.name for hit in engine.similar(folder / "red.png")]
    assert sorted(names) == ["blue.png", "green.png"]


def test_an_image_from_elsewhere_finds_all(engine: Engine, tmp_path: Path) -> None:
    purple = Image.new("RGB", (5, 5), COLOURS["red"])
    assert engine.similar(purple, k=1)[0].path.name == "red.png"
    purple.save(tmp_path / "other.png")
    hits = engine.similar(tmp_path / "other.png")
    assert (len(hits), hits[0].path.name) == (3, "red.png")
    assert hits[0].score == pytest.approx(1.0, abs=1e-3)


def test_a_picture_finds_texts(engine: Engine, folder: Path) -> None:
    hits = engine.captions(folder / "green.png", k=2)
    assert [(hit.kind, hit.text, hit.path, hit.width) for hit in hits] == [
        ("text", "a green thing", folder / "captions.txt", None),
        ("text", "a yellow thing", folder / "captions.txt", None),
    ]


def test_scores_are_dot_products(engine: Engine) -> None:
    for hit in engine.search("yellow", k=3):
        assert hit.score == pytest.approx(cosine("yellow", hit.path.stem), abs=1e-3)


def test_an_unreadable_picture_says_why(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("not a picture")
    with pytest.raises(PictureError, match=r"notes\.jpg cannot be read: not a picture"):
        engine.similar(tmp_path / "notes.jpg")
    with pytest.raises(PictureError, match=r"gone\.jpg cannot be opened: No such file"):
        engine.captions(tmp_path / "gone.jpg")


@pytest.fixture
def deadly(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine whose decoders are harmed by some pictures, and give up after two seconds."""
    monkeypatch.setattr("retrieval.engine.Decoders", partial(Decoders, timeout=2))
    with Engine(Library.open(folder), lambda name: DeadlyEncoder()) as engine:
        yield engine


@pytest.mark.parametrize(
    ("width", "reason"),
    [
        (HANGS, "took longer than 2 s to decode"),
        (CRASHES, "crashed the decoder (signal 6)"),
        (STARVES, "not enough memory to decode it"),
    ],
)
def test_a_picture_that_harms_its_decoder_is_an_error(
    deadly: Engine, folder: Path, tmp_path: Path, width: int, reason: str
) -> None:
    path = tmp_path / "harmful.png"
    Image.new("RGB", (width, 5), "red").save(path)
    for ask in (
        lambda: deadly.similar(path),
        lambda: deadly.search("red", images=[path]),
        lambda: deadly.captions(path),
    ):
        with pytest.raises(PictureError) as caught:
            ask()
        assert str(caught.value) == f"{path} cannot be read: {reason}"
    assert {hit.path.name for hit in deadly.similar(folder / "red.png")} == {
        "blue.png",
        "green.png",
    }


def test_a_picture_larger_than_indexed_ones_may_be_is_an_error(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("encoder.pictures.picture.MAX_BYTES", 10)
    with pytest.raises(PictureError, match=r"red\.png cannot be read: larger than .* 10 bytes"):
        engine.similar(folder / "red.png")


def test_a_decoder_starts_with_the_first_file_stays_and_ends_with_the_engine(
    engine: Engine, folder: Path
) -> None:
    def decoders() -> list[int]:
        return [child.pid for child in engine._decoders._children]

    engine.search("red", plus=["blue"])
    engine.similar(Image.new("RGB", (5, 5), "red"))
    assert decoders() == []
    engine.similar(folder / "red.png")
    (pid,) = decoders()
    engine.search("red", images=[folder / "blue.png", folder / "green.png"])
    assert decoders() == [pid]
    engine.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(("text", "k"), [("", 3), (" \t", 3), ("red", 0), ("red", -1)])
def test_nonsense_is_refused(engine: Engine, text: str, k: int) -> None:
    with pytest.raises(ValueError, match=r"empty|at least 1"):
        engine.search(text, k)


def test_another_model_than_the_librarys_is_refused(folder: Path) -> None:
    other = FakeEncoder("other", fingerprint="0123")
    with Engine(Library.open(folder), lambda name: other) as engine:
        with pytest.raises(
            ModelMismatch, match=r"indexed with fake .*align index --reembed"
        ) as one:
            engine.search("red")
        assert "other (0123)" in str(one.value)


def test_the_model_is_loaded_once_by_the_name_in_the_library(folder: Path) -> None:
    asked = []

    def load(name: str) -> FakeEncoder:
        asked.append(name)
        return FakeEncoder()

    with Engine(Library.open(folder), load) as engine:
        threads = [threading.Thread(target=engine.search, args=("red",)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert asked == ["fake"]


def test_an_empty_library_says_how_to_fill_it(tmp_path: Path) -> None:
    with (
        Engine(Library.create(tmp_path), lambda name: FakeEncoder()) as engine,
        pytest.raises(LibraryError, match="is empty: fill it with align index FOLDER"),
    ):
        engine.search("red")


def test_no_library_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(LibraryNotFound, match="align index"):
        open_library(tmp_path)


def test_new_pictures_are_found_by_an_engine_that_is_already_open(
    engine: Engine, folder: Path
) -> None:
    assert engine.search("yellow", k=1)[0].path.name != "yellow.png"
    Image.new("RGB", (4, 4), COLOURS["yellow"]).save(folder / "yellow.png")
    with Library.open(folder) as library:
        library.index([], FakeEncoder)
    assert engine.search("yellow", k=1)[0].path.name == "yellow.png"
    (folder / "yellow.png").unlink()
    with Library.open(folder) as library:
        library.index([], FakeEncoder)
    assert {h.path.name for h in engine.search("yellow")} == {"red.png", "green.png", "blue.png"}


def test_a_damaged_index_is_reported_and_the_answer_stays_right(
    engine: Engine, folder: Path
) -> None:
    whole = list(engine.search("red"))
    for file in (folder / ".align" / "generations").iterdir():
        file.write_bytes(b"not an index")
    with Engine(Library.open(folder), lambda name: FakeEncoder()) as fresh:
        hits = fresh.search("red")
    said = (
        r"generations/\d+-[0-9a-f-]+\.faiss is 12 bytes long instead of \d+; searching without it"
    )
    assert re.fullmatch(said, hits.degraded or "")
    assert list(hits) == whole


def test_hits_as_json_values(engine: Engine, folder: Path) -> None:
    (hit,) = engine.search("red", k=1)
    assert hit.to_dict() == {
        "rank": 1,
        "score": hit.score,
        "id": hit.id,
        "kind": "image",
        "path": str(folder / "red.png"),
        "text": None,
        "taken_at": None,
        "width": 12,
        "height": 8,
    }


def test_capture_time_is_written_in_iso_form() -> None:
    from datetime import datetime

    hit = Hit(1, 0.5, 7, "image", Path("/a.jpg"), None, datetime(2024, 5, 6, 7, 8, 9), 3, 2)
    assert hit.to_dict()["taken_at"] == "2024-05-06T07:08:09"


def test_flat_search_equals_a_matrix_product(folder: Path) -> None:
    """The whole path on many pictures, compared with a plain matrix product."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (60, 3))
    for i, colour in enumerate(colours):
        Image.new("RGB", (4, 4), tuple(int(c) for c in colour)).save(folder / f"{i:02}.png")
    with Library.open(folder) as library:
        library.index([], FakeEncoder)
        query = FakeEncoder().encode_texts(["purple blue"])[0]
        items = [item for path in folder.glob("*.png") for item in library.find(path)]
        pictures = [np.asarray(Image.open(item.path)) for item in items]
        rows = FakeEncoder().encode_images(pictures).astype(np.float16).astype(np.float32)
        scores = rows @ query
        order = sorted(range(len(items)), key=lambda i: (-scores[i], items[i].id))[:10]
        found = library.search(query, 10)
    assert found.ids.tolist() == [items[i].id for i in order]
    assert found.scores == pytest.approx(scores[order], abs=1e-6)


@pytest.mark.parametrize("group", [False, True])
def test_a_deletion_during_a_search_is_seen_whole_or_not_at_all(
    folder: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch, group: bool
) -> None:
    """Another writer deletes the best hit between the search and the reading of its item."""
    real, calls = catalogue.items_by_id, []

    def items_by_id(db: Connection, ids: Iterable[int]) -> list[Item]:
        calls.append(ids)
        if len(calls) == 1:
            (folder / "red.png").unlink()
            with Library.open(folder) as other:
                assert other.index([folder], FakeEncoder).deleted == 1
        return real(db, ids)

    monkeypatch.setattr(catalogue, "items_by_id", items_by_id)
    before, after = engine.search("red", group=group), engine.search("red", group=group)
    assert [hit.path.name for hit in before] == ["red.png", "blue.png", "green.png"]
    assert [hit.path.name for hit in after] == ["blue.png", "green.png"]
    assert (before.degraded, after.degraded) == (None, None)


@pytest.mark.parametrize("group", [False, True])
@pytest.mark.parametrize("lost", [["red"], ["red", "blue"], ["red", "green", "blue"]])
def test_hits_that_lost_their_rows_give_their_places_to_others(
    folder: Path, engine: Engine, lost: list[str], group: bool
) -> None:
    for name in ("white", "yellow"):
        Image.new("RGB", (4, 4), COLOURS[name]).save(folder / f"{name}.png")
    engine.library.index([], FakeEncoder)
    whole = [hit.path.stem for hit in engine.search("red", group=group)]
    with closing(sqlite3.connect(folder / ".align/library.db")) as db, db:
        for name in lost:
            where = "(SELECT id FROM files WHERE path = CAST(? AS BLOB))"
            db.execute(f"DELETE FROM items WHERE file_id = {where}", [f"{name}.png"])

    left = [name for name in whole if name not in lost]
    for k in (1, 2, 3, 10):
        hits = engine.search("red", k, group=group)
        assert [hit.path.stem for hit in hits] == left[:k]
        assert [hit.score for hit in hits] == [
            pytest.approx(cosine("red", name), abs=1e-3) for name in left[:k]
        ]
        assert hits.degraded == (
            "the database has lost rows of items, which are left out here: `align verify` shows the"
            " damage, `align repair` and then `align index` mend it"
        )

    assert engine.library.repair(FakeEncoder).lost
    engine.library.index([], FakeEncoder)
    mended = engine.search("red", group=group)
    assert sorted(hit.path.stem for hit in mended) == sorted(
        whole
    )  # new ids may change the order of ties
    assert mended.degraded is None


def test_a_lost_root_leaves_out_its_hits(engine: Engine, folder: Path) -> None:
    with closing(sqlite3.connect(folder / ".align/library.db")) as db, db:
        db.execute("DELETE FROM roots")
    hits = engine.search("red")
    assert list(hits) == []
    assert (hits.degraded or "").startswith("the database has lost rows of items")
    assert engine.library.failures() == []


def test_items_stand_beside_ids_and_scores(engine: Engine, folder: Path) -> None:
    found = engine.library.search(FakeEncoder().encode_texts(["red"])[0], 2, kind="text")
    assert found.items == tuple(engine.library.items(found.ids.tolist()))
    assert [item.text for item in found.items] == ["a red thing", "a yellow thing"]
    assert len(found.items) == len(found.scores) == 2


def test_a_damaged_index_and_a_lost_row_are_both_reported(engine: Engine, folder: Path) -> None:
    engine.library.close()
    for file in (folder / ".align" / "generations").iterdir():
        file.write_bytes(b"not an index")
    with closing(sqlite3.connect(folder / ".align/library.db")) as db, db:
        db.execute("DELETE FROM items WHERE kind = 'image'")
    with Engine(Library.open(folder), lambda name: FakeEncoder()) as fresh:
        hits = fresh.search("red")
    assert list(hits) == []
    said = (hits.degraded or "").split("; ")
    assert said[0].startswith("generations/")
    assert said[-1].startswith("the database has lost rows of items")


def test_a_library_that_knows_the_model_by_an_earlier_fingerprint(folder: Path) -> None:
    """It is searched as before, also where nothing can be written."""

    class Renumbered(FakeEncoder):
        def is_known_as(self, fingerprint: str) -> bool:
            return fingerprint in (self.fingerprint, FakeEncoder().fingerprint)

    newer = Renumbered("fake", fingerprint="4e3")
    loads: list[str] = []
    with Engine(Library.open(folder), lambda name: loads.append(name) or newer) as engine:
        found = engine.search("red", 3)
        assert engine.similar(found[0].path, 2)
        assert engine.tag(["red", "green"], confidence=0.1)
    assert loads == ["fake"]
    with Engine(Library.open(folder), lambda name: FakeEncoder()) as engine:
        again = engine.search("red", 3)
    assert [hit.path for hit in again] == [hit.path for hit in found]
