"""What `index` does with pictures that are added, changed, moved, copied and deleted."""

import os
import shutil
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from encoder.fake import FakeEncoder
from indexer import Item


def test_first_run_embeds_everything_in_order_of_path(photos, counting):
    photos.paint("b/red.png", "red", size=(9, 5))
    photos.paint("a.PNG", "green")
    photos.paint("c.png", "blue")
    encoder = counting()

    assert photos.index(encoder=encoder) == {"added": 3, "embedded": 3}

    assert encoder.batches == [3]
    assert [item.path.name for item in photos.library.items([1, 2, 3])] == [
        "a.PNG",
        "red.png",
        "c.png",
    ]
    red = photos.folder / "b/red.png"
    assert photos.library.find(red) == [
        Item(
            id=2,
            kind="image",
            path=red,
            text=None,
            position=0,
            width=9,
            height=5,
            format="PNG",
            taken_at=None,
            digest=sha256(red.read_bytes()).digest(),
            bytes=red.stat().st_size,
            camera=None,
            lens=None,
            latitude=None,
            longitude=None,
            fields={},
        )
    ]
    assert photos.nearest("red", 3) == [2, 1, 3]


def test_the_capture_time_is_stored(photos):
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:05:06 07:08:09"
    Image.new("RGB", (4, 4), "red").save(photos.folder / "a.jpg", exif=exif)
    photos.index()
    assert photos.library.items([1])[0].taken_at == datetime(2024, 5, 6, 7, 8, 9)


def test_hidden_files_and_files_of_other_types_are_ignored(photos):
    for name in (".hidden.png", ".dir/a.png", "@eaDir/a.png", "__MACOSX/a.png", "b/@eaDir/a.png"):
        photos.paint(name, "red")
    photos.write("notes.pdf", "no picture")
    photos.write("README.txt", "no caption")
    outside = photos.folder.parent / "outside"
    outside.mkdir()
    Image.new("RGB", (4, 4)).save(outside / "a.png")
    (photos.folder / "link").symlink_to(outside)
    (photos.folder / "link.png").symlink_to(outside / "a.png")
    photos.paint("seen.png", "red")
    assert photos.index() == {"added": 1, "embedded": 1}
    assert photos.library.items([1])[0].path.name == "seen.png"


def test_unchanged_files_are_not_opened(photos, monkeypatch, must_not_load, settled):
    photos.paint("a.png", "red")
    photos.index()
    monkeypatch.setattr("indexer.indexing.run.read", None)
    report = photos.library.index([], must_not_load)
    assert (report.unchanged, report.embedded) == (1, 0)


def test_a_touched_file_only_updates_its_time(photos, must_not_load, sql):
    path = photos.paint("a.png", "red")
    photos.index()
    photos.touch(path)
    before = sql(photos.library, "SELECT * FROM changes")
    assert photos.library.index([], must_not_load).unchanged == 1
    assert sql(photos.library, "SELECT * FROM changes") == before
    assert sql(photos.library, "SELECT mtime_ns FROM files") == [(path.stat().st_mtime_ns,)]


def test_changed_bytes_are_a_new_item(photos):
    path = photos.paint("a.png", "red")
    photos.paint("b.png", "green")
    photos.index()
    photos.paint("a.png", "blue")
    photos.touch(path)

    assert photos.rescan() == {"changed": 1, "unchanged": 1, "embedded": 1}

    assert photos.ids("a.png") == [3]
    assert photos.library.items([1, 2, 3]) == [
        *photos.library.find(photos.folder / "b.png"),
        *photos.library.find(path),
    ]
    assert photos.nearest("blue", 5) == [3, 2]


def test_the_item_of_a_deleted_file_is_deleted_and_its_id_never_returns(photos, sql):
    photos.paint("a.png", "red")
    photos.paint("b.png", "green")
    photos.index()
    (photos.folder / "b.png").unlink()
    assert photos.rescan() == {"deleted": 1, "unchanged": 1}
    assert photos.nearest("green", 5) == [1]
    assert sql(photos.library, "SELECT item_id FROM embeddings") == [(1,)]

    photos.paint("b.png", "green")
    assert photos.rescan() == {"added": 1, "unchanged": 1, "embedded": 1}
    assert photos.ids("a.png", "b.png") == [1, 3]
    # Both generations hold the changes before.
    changes = sql(photos.library, "SELECT seq, item_id, op FROM changes")
    assert changes == [(3, 2, "delete"), (4, 3, "add")]


def test_a_move_keeps_id_and_embedding(photos, must_not_load, monkeypatch):
    old = photos.paint("a.png", "red")
    photos.paint("b.png", "green")
    photos.index()
    (photos.folder / "sub").mkdir()
    old.rename(photos.folder / "sub/z.png")
    monkeypatch.setattr("indexer.indexing.run.Decoders.decode", None)  # not even decoded
    report = photos.library.index([], must_not_load)
    assert (report.moved, report.unchanged, report.added, report.deleted) == (1, 1, 0, 0)
    assert photos.ids("sub/z.png") == [1]
    assert photos.library.find(old) == []
    assert photos.nearest("red") == [1]


def test_a_move_onto_another_file_replaces_it(photos, must_not_load):
    photos.paint("a.png", "red")
    target = photos.paint("b.png", "green")
    photos.index()
    (photos.folder / "a.png").replace(target)
    photos.touch(target)
    report = photos.library.index([], must_not_load)
    assert (report.moved, report.deleted, report.changed) == (1, 1, 0)
    assert photos.ids("b.png") == [1]
    assert photos.library.items([2]) == []


def test_equal_pictures_that_move_take_one_gone_file_each(photos, counting):
    for name in ("a.png", "b.png"):
        photos.paint(name, "red")
    encoder = counting()
    assert photos.index(encoder=encoder) == {"added": 1, "copied": 1, "embedded": 1}
    assert encoder.batches == [1]
    for old, new in (("a.png", "x.png"), ("b.png", "y.png")):
        (photos.folder / old).rename(photos.folder / new)
    shutil.copy(photos.folder / "x.png", photos.folder / "z.png")
    encoder = counting()
    assert photos.rescan(encoder=encoder) == {"moved": 2, "copied": 1}
    assert encoder.batches == []
    assert photos.ids("x.png", "y.png", "z.png") == [1, 2, 3]
    assert photos.library.items([3])[0].width == 8


def test_a_copy_of_a_live_item_is_listed_twice_and_embedded_once(photos, counting):
    photos.paint("a.png", "red")
    photos.index()
    shutil.copy(photos.folder / "a.png", photos.folder / "b.png")
    encoder = counting()
    assert photos.rescan(encoder=encoder) == {"copied": 1, "unchanged": 1}
    assert encoder.batches == []
    assert photos.nearest("red", 5) == [1, 2]


def test_swapped_files_are_two_changes(photos):
    one, two = photos.paint("a.png", "red"), photos.paint("b.png", "green")
    photos.index()
    spare = photos.folder / "c"
    one.rename(spare)
    two.rename(one)
    spare.rename(two)
    photos.touch(one, 10)
    photos.touch(two, 20)
    report = photos.rescan()
    assert (report["changed"], report.get("deleted", 0)) == (2, 0)
    assert photos.nearest("green") == photos.ids("a.png")
    assert photos.nearest("red") == photos.ids("b.png")


def test_names_in_any_bytes(photos):
    names = [b"caf\xe9.png", b"\xff\xfe/\xe0.png", "\u96ea.png".encode()]
    paths = [
        photos.paint(name, colour)
        for name, colour in zip(names, ("red", "green", "blue"), strict=True)
    ]
    assert photos.index() == {"added": 3, "embedded": 3}
    assert [photos.library.find(path)[0].path for path in paths] == paths
    paths[0].rename(photos.folder / os.fsdecode(b"\xe8.png"))
    assert photos.rescan() == {"moved": 1, "unchanged": 2}


def test_moving_the_whole_folder_embeds_nothing(photos, make_photos, must_not_load):
    photos.paint("sub/a.png", "red")
    caption = photos.write("c.txt", "a green thing")
    photos.index(photos.folder, caption)
    photos.library.close()
    elsewhere = photos.folder.rename(photos.folder.parent / "elsewhere")
    moved = make_photos("elsewhere")
    report = moved.library.index([], must_not_load)
    assert (report.unchanged, report.deleted, report.added) == (2, 0, 0)
    assert [item.path for item in moved.library.items([1, 2])] == [
        elsewhere / "c.txt",
        elsewhere / "sub/a.png",
    ]
    assert moved.nearest("red") == [2]


def test_small_batches_give_the_same_library(make_photos, counting):
    libraries = []
    for name, size in (("one", 1), ("two", 7), ("three", 32)):
        made = make_photos(name)
        for n in range(20):
            made.paint(f"{n:02}.png", (n * 10, n * 10 % 70, 3))
        made.paint("10copy.png", (100, 30, 3))
        encoder = counting()
        report = made.index(encoder=encoder, batch_size=size, workers=4)
        assert report == {"added": 20, "copied": 1, "embedded": 20}
        assert max(encoder.batches) <= size
        items = made.library.items(range(1, 22))
        libraries.append([(item.id, item.path.name) for item in items])
        assert made.nearest("red", 21) == made.nearest("red", 30)
    assert libraries[0] == libraries[1] == libraries[2]


def test_progress_counts_files(photos, settled, progress):

    for n in range(5):
        photos.paint(f"{n}.png", (n, 0, 0))
    photos.index(batch_size=2, progress=progress)
    assert progress == [(5, "files"), 2, 2, 1, "done"]
    progress.clear()
    photos.rescan(progress=progress)
    assert progress == []


def test_find_and_items_outside_the_library(photos):
    photos.paint("a.png", "red")
    photos.index()
    assert photos.library.find(photos.folder.parent / "nowhere.png") == []
    assert photos.library.find(Path("a.png")) == []
    assert photos.library.items([]) == []
    assert [item.id for item in photos.library.items([1, 99, 1])] == [1, 1]


@pytest.mark.parametrize("kind", ["image", "text"])
def test_an_empty_library_answers_nothing(photos, kind):
    found = photos.library.search(FakeEncoder().encode_texts(["red"])[0], 5, kind=kind)
    assert (found.ids.tolist(), found.scores.tolist(), found.degraded) == ([], [], None)
    assert photos.rescan() == {}


def test_a_batch_size_of_0_is_refused(photos):
    with pytest.raises(ValueError, match="batch_size is 0 but must be at least 1"):
        photos.index(batch_size=0)
