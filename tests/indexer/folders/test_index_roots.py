"""Which folders are watched, and that no folder loses its items by accident."""

import os
from pathlib import Path

import pytest

from indexer import Library, RootStatus, SourceNotFound, UnsupportedFile


def roots(photos):
    return photos.library.status().roots


def test_the_root_around_the_library_is_stored_relative_and_others_absolute(photos, sql, tmp_path):
    photos.paint("a.png", "red")
    photos.paint("../other/b.png", "green")
    other = (tmp_path / "other").resolve()
    assert photos.index(photos.folder, other) == {"added": 2, "embedded": 2}
    rows = sql(photos.library, "SELECT path, relative FROM roots ORDER BY id")
    assert rows == [(b".", 1), (os.fsencode(other), 0)]
    assert roots(photos) == [RootStatus(photos.folder, True, 1), RootStatus(other, True, 1)]


def test_a_folder_above_the_library_is_stored_relative_too(photos, sql):
    photos.paint("../b.png", "green")
    assert photos.index(photos.folder.parent) == {"added": 1, "embedded": 1}
    assert sql(photos.library, "SELECT path, relative FROM roots") == [(b"..", 1)]
    assert photos.library.items([1])[0].path == photos.folder.parent / "b.png"


def test_relative_roots_start_at_the_folder_of_the_library_however_it_is_opened(
    photos, tmp_path, monkeypatch, must_not_load
):
    photos.paint("a.png", "red")
    photos.index()
    (tmp_path / "link").symlink_to(photos.folder)
    monkeypatch.chdir(tmp_path)
    for path in ("photos", "photos/.align", "link", "link/.align", "link/../photos"):
        with Library.open(path) as library:
            assert library.items([1])[0].path == photos.folder / "a.png"
            assert library.index([], must_not_load).unchanged == 1
    (photos.folder / ".align").rename("elsewhere")
    (photos.folder / ".align").symlink_to("../elsewhere")
    with Library.open("photos") as library:
        assert library.items([1])[0].path == photos.folder / "a.png"
        assert library.index([], must_not_load).unchanged == 1


def test_a_path_inside_a_root_scans_that_part_only(photos):
    for name in ("a/1.png", "a/2.png", "ab/3.png", "b/4.png"):
        photos.paint(name, (len(name), int(name[-5]), 0))
    photos.index()
    for name in ("a/1.png", "ab/3.png", "b/4.png"):
        (photos.folder / name).unlink()
    photos.paint("a/5.png", "red")
    photos.paint("b/6.png", "green")
    assert photos.index(photos.folder / "a") == {
        "added": 1,
        "embedded": 1,
        "unchanged": 1,
        "deleted": 1,
    }
    assert photos.ids("a/2.png", "a/5.png", "ab/3.png", "b/4.png") == [2, 5, 3, 4]
    assert roots(photos) == [RootStatus(photos.folder, True, 4)]
    assert photos.index(photos.folder / "b/6.png") == {"added": 1, "embedded": 1}
    assert photos.rescan() == {"unchanged": 3, "deleted": 2}


def test_a_part_may_be_emptied(photos):
    photos.paint("a/1.png", "red")
    photos.paint("2.png", "green")
    photos.index()
    (photos.folder / "a/1.png").unlink()
    assert photos.index(photos.folder / "a") == {"deleted": 1}


def test_a_single_file_is_watched_alone(photos, tmp_path):
    one = photos.paint("../other/a.png", "red").resolve()
    photos.paint("../other/b.png", "green")
    assert photos.index(one) == {"added": 1, "embedded": 1}
    assert roots(photos) == [RootStatus(tmp_path / "other", False, 1)]
    assert photos.rescan() == {"unchanged": 1}
    one.unlink()
    assert photos.rescan() == {"deleted": 1}


def test_a_folder_of_single_files_becomes_a_root_when_named(photos, tmp_path):
    one = photos.paint("../other/a.png", "red").resolve()
    photos.paint("../other/b.png", "green")
    photos.index(one)
    assert photos.index(tmp_path / "other") == {"added": 1, "unchanged": 1, "embedded": 1}
    assert roots(photos) == [RootStatus(tmp_path / "other", True, 2)]


def test_a_folder_around_roots_absorbs_them(photos, tmp_path, sql, must_not_load):
    name = b"\xe9.png"
    photos.paint(b"../other/deep/" + name, "red")
    photos.paint("../other/single/b.png", "green")
    photos.paint("../other/single/unnamed.png", "blue")
    caption = photos.write("../other/single/c.txt", "a red thing").resolve()
    other = tmp_path / "other"
    photos.index(other / "deep", other / "single/b.png", caption)
    assert [(root.path.name, root.recursive) for root in roots(photos)] == [
        ("deep", True),
        ("single", False),
    ]
    assert photos.index(other) == {"added": 1, "unchanged": 3, "embedded": 1}
    assert roots(photos) == [RootStatus(other, True, 4)]
    assert sql(photos.library, "SELECT path FROM files ORDER BY path") == [
        (b"deep/" + name,),
        (b"single/b.png",),
        (b"single/c.txt",),
        (b"single/unnamed.png",),
    ]
    assert photos.library.index([], must_not_load).unchanged == 4


def test_overlapping_sources_count_once(photos):
    path = photos.paint("a/1.png", "red")
    assert photos.index(path, path.parent, photos.folder, path) == {"added": 1, "embedded": 1}
    assert roots(photos) == [RootStatus(photos.folder, True, 1)]


def test_hidden_files_may_be_named(photos):
    path = photos.paint(".hidden.png", "red")
    assert photos.index(photos.folder, path) == {"added": 1, "embedded": 1}
    assert photos.rescan() == {"unchanged": 1}


def test_a_file_that_moves_between_roots_keeps_its_item(photos, tmp_path, must_not_load):
    photos.paint("../one/a.png", "red")
    photos.paint("../one/b.png", "blue")
    photos.paint("../two/c.png", "green")
    photos.index(tmp_path / "one", tmp_path / "two")
    (tmp_path / "one/a.png").rename(tmp_path / "two/z.png")
    assert photos.library.index([], must_not_load).moved == 1
    assert photos.library.find(tmp_path / "two/z.png")[0].id == 1


def test_a_folder_that_cannot_be_listed_keeps_its_items(photos, monkeypatch, caplog, must_not_load):
    photos.paint("sub/a.png", "red")
    photos.paint("b.png", "green")
    photos.index()
    real_scandir, real_lstat = os.scandir, os.lstat

    def refuse(real, path):
        if b"/sub" in os.fsencode(path):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr("os.scandir", lambda path: refuse(real_scandir, path))
    monkeypatch.setattr("os.lstat", lambda path: refuse(real_lstat, path))
    report = photos.library.index([], must_not_load)
    monkeypatch.undo()
    assert (report.unchanged, report.deleted) == (2, 0)
    assert caplog.messages == ["cannot read sub: Permission denied"]


def test_a_source_that_does_not_exist(photos):
    missing = photos.folder / "nowhere"
    with pytest.raises(SourceNotFound) as caught:
        photos.library.index([missing], None)
    assert str(caught.value) == (
        f"{missing} does not exist; check the spelling, or run `align index` without a path to"
        " forget files that are gone"
    )
    assert roots(photos) == []


def test_a_file_that_is_neither_a_picture_nor_texts(photos):
    path = photos.write("a.pdf", "x")
    with pytest.raises(UnsupportedFile) as caught:
        photos.library.index([photos.folder, path], None)
    assert str(caught.value).startswith(f"{path} is neither a picture (.arw ")
    assert str(caught.value).endswith(
        "nor a file of texts (.csv .jsonl .txt); convert it or rename it"
    )
    assert roots(photos) == []


def test_relative_and_linked_sources(photos, monkeypatch, tmp_path):
    photos.paint("a.png", "red")
    (tmp_path / "link").symlink_to(photos.folder)
    monkeypatch.chdir(tmp_path)
    assert photos.index(Path("link")) == {"added": 1, "embedded": 1}
    assert photos.index(Path("photos/a.png")) == {"unchanged": 1}
    assert [item.id for item in photos.library.find(Path("link/a.png"))] == [1]
    assert roots(photos) == [RootStatus(photos.folder, True, 1)]
