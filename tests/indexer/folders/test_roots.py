"""Roots that are away or changed, roots that move, and forgotten paths."""

import os
import shutil

import pytest

from encoder.fake import FakeEncoder
from indexer import Forgotten, RootsOverlap, RootStatus, SourceNotFound, UnknownPath

REMEDY = (
    "; mount or restore it, say where it is now with `align roots move`, or accept the loss with"
    " --allow-missing; nothing of it was deleted"
)


@pytest.fixture
def two(photos, tmp_path):
    """One picture in the root around the library, and two in another root."""
    photos.paint("a.png", "red")
    photos.paint("../other/b.png", "green")
    photos.paint("../other/c.png", "blue")
    photos.index(photos.folder, tmp_path / "other")
    return photos


@pytest.fixture
def other(two, tmp_path):
    return tmp_path / "other"


def states(photos):
    return [root.state for root in photos.library.roots()]


def devices(photos, sql):
    return [row[0] for row in sql(photos.library, "SELECT device FROM roots ORDER BY id")]


def test_a_missing_root_loses_nothing_and_the_others_go_on(two, other):
    other.rename(other.parent / "away")
    two.paint("new.png", "yellow")
    sentence = f"{other} does not exist{REMEDY}"
    assert two.outcome() == ((sentence,), 1, 0)
    assert states(two) == ["ok", "missing"]
    assert two.library.status().counts["image"] == 4
    assert two.nearest("green") == [2]
    with pytest.raises(SourceNotFound):
        two.library.index([other / "b.png"], None)
    (other.parent / "away").rename(other)
    assert two.rescan() == {"unchanged": 4}
    assert states(two) == ["ok", "ok"]


def test_a_missing_root_that_is_named_is_reported_too(two, other):
    shutil.rmtree(other)
    report = two.library.index([other], None)
    assert (report.unavailable, report.deleted) == ((f"{other} does not exist{REMEDY}",), 0)


def test_the_loss_of_a_missing_root_may_be_accepted(two, other):
    shutil.rmtree(other)
    assert two.outcome(allow_missing=True) == ((), 0, 2)
    assert two.nearest("green", 5) == [1]
    assert two.library.roots()[1] == RootStatus(other, True, 0, "missing")
    assert two.outcome()[0] == (
        f"{other} does not exist; mount or restore it, say where it is now with `align roots move`,"
        " or let it go with `align forget`; nothing of it was deleted",
    )
    assert two.library.forget([other]) == Forgotten(0, (other,), ())
    assert two.outcome() == ((), 0, 0)


def test_a_file_at_the_path_of_a_root_is_a_missing_root(two, other):
    shutil.rmtree(other)
    other.write_text("no folder")
    assert two.outcome() == ((f"{other} does not exist{REMEDY}",), 0, 0)
    assert states(two) == ["ok", "missing"]


@pytest.mark.parametrize("allow_missing", [False, True])
def test_an_unreadable_root_loses_nothing_even_with_allow_missing(
    two, other, monkeypatch, allow_missing
):
    real = os.scandir

    def refuse(path):
        if os.fsencode(path) == os.fsencode(other):
            raise OSError(107, "Transport endpoint is not connected")
        return real(path)

    monkeypatch.setattr("os.scandir", refuse)
    assert two.outcome(allow_missing=allow_missing) == (
        (
            f"{other} cannot be read (Transport endpoint is not connected); mount or restore it and"
            " run again, nothing of it was deleted",
        ),
        0,
        0,
    )
    assert states(two) == ["ok", "unreadable"]


def test_a_new_folder_that_cannot_be_read_is_no_root(photos, tmp_path, monkeypatch):
    real = os.scandir
    (tmp_path / "other").mkdir()

    def refuse(path):
        if os.fsencode(path) == os.fsencode(tmp_path / "other"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(SourceNotFound, match=r"other cannot be read \(Permission denied\); mount"):
        photos.library.index([tmp_path / "other"], None)
    assert photos.library.roots() == []


def test_an_emptied_root_loses_nothing(two, other):
    for path in other.iterdir():
        path.unlink()
    (other / ".Trash").mkdir()
    sentence = f"{other} is empty but the library knows 2 files in it{REMEDY}"
    assert two.outcome() == ((sentence,), 0, 0)
    assert states(two) == ["ok", "empty"]
    assert two.nearest("green") == [2]
    assert two.outcome(allow_missing=True) == ((), 0, 2)
    assert states(two) == ["ok", "ok"]


def test_an_empty_root_is_noticed_by_a_scan_of_a_part(photos):
    photos.paint("sub/a.png", "red")
    photos.paint("b.png", "green")
    photos.index()
    (photos.folder / "b.png").unlink()
    (photos.folder / "sub/a.png").unlink()
    report = photos.library.index([photos.folder / "sub"], None)
    assert (len(report.unavailable), report.deleted) == (1, 0)


def test_a_root_with_only_another_file_was_emptied_on_purpose(two, other):
    for path in other.iterdir():
        path.unlink()
    (other / "note.md").write_text("gone on purpose")
    assert two.outcome() == ((), 0, 2)


def test_another_device_with_files_missing_loses_nothing(two, other, sql):
    device = other.stat().st_dev
    assert devices(two, sql) == [device, device]
    sql(two.library, "UPDATE roots SET device = 1 WHERE id = 2")
    (other / "b.png").unlink()
    two.paint("../other/new.png", "white")
    lacks = "lacks 1 file of the 2 that the library knows"
    sentence = f"{other} is on another device than before and {lacks}{REMEDY}"
    assert two.outcome() == ((sentence,), 0, 0)
    assert states(two) == ["ok", "other device"]
    assert devices(two, sql) == [device, 1]
    assert two.outcome(allow_missing=True) == ((), 1, 1)
    assert devices(two, sql) == [device, device]
    assert states(two) == ["ok", "ok"]


def test_another_device_with_all_files_is_accepted_silently(two, other, sql):
    sql(two.library, "UPDATE roots SET device = 1 WHERE id = 2")
    assert two.index(other / "b.png") == {"unchanged": 1}
    assert devices(two, sql)[1] == 1  # only a scan of the whole root changes it
    assert two.rescan() == {"unchanged": 3}
    assert devices(two, sql)[1] == other.stat().st_dev


def test_reembedding_waits_for_a_root_that_is_away(two, other):
    """Otherwise its items would lose the embeddings that they have."""
    other.rename(other.parent / "away")
    new = FakeEncoder("other", "07e4" * 16)
    report = two.library.index([], lambda: new, reembed=True)
    assert (len(report.unavailable), report.embedded) == (1, 1)
    assert two.library.model.name == "fake"
    assert two.nearest("green") == [2]
    (other.parent / "away").rename(other)
    assert two.rescan(encoder=new, reembed=True) == {
        "reembedded": 2,
        "unchanged": 1,
        "embedded": 2,
    }
    assert two.library.model.name == "other"
    assert two.nearest("green") == [2]


def test_a_root_moves_with_all_its_items(two, other, sql, must_not_load):
    new = other.rename(other.parent / "new")
    two.library.move_root(other, new)
    assert two.library.roots()[1] == RootStatus(new, True, 2)
    assert two.library.find(new / "b.png")[0].id == 2
    report = two.library.index([], must_not_load)
    assert (report.unchanged, report.deleted, report.unavailable) == (3, 0, ())
    assert sql(two.library, "SELECT path, relative FROM roots") == [
        (b".", 1),
        (os.fsencode(new), 0),
    ]


def test_a_root_that_moves_next_to_the_library_becomes_relative(photos, tmp_path, sql):
    photos.paint("../other/b.png", "green")
    photos.index(tmp_path / "other")
    (tmp_path / "other").rename(photos.folder / "inside")
    photos.library.move_root(tmp_path / "other", photos.folder / "inside")
    assert sql(photos.library, "SELECT path, relative FROM roots") == [(b"inside", 1)]
    assert photos.rescan() == {"unchanged": 1}


def test_a_root_that_left_a_link_at_its_old_path_moves_too(two, other):
    new = other.rename(other.parent / "new")
    other.symlink_to(new)
    two.library.move_root(other, new)
    assert two.library.roots()[1].path == new


def test_moves_that_are_refused(two, other, tmp_path):
    before = two.library.roots()
    nowhere = tmp_path / "nowhere"
    with pytest.raises(UnknownPath) as caught:
        two.library.move_root(nowhere, tmp_path)
    assert str(caught.value) == (
        f"{nowhere} is not a watched folder; name one of these: {two.folder}, {other}"
    )
    with pytest.raises(SourceNotFound) as missing:
        two.library.move_root(other, nowhere)
    assert str(missing.value) == f"{nowhere} is not a folder; move or copy the files first"
    (two.folder / "sub").mkdir()
    for new in (two.folder, two.folder / "sub", tmp_path):
        with pytest.raises(RootsOverlap) as overlap:
            two.library.move_root(other, new)
        assert str(overlap.value) == (
            f"{new} overlaps the watched folder {two.folder}; stop watching that with"
            " `align forget`, or name another place"
        )
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    with pytest.raises(SourceNotFound) as unlike:
        two.library.move_root(other, wrong)
    assert (
        str(unlike.value) == f"{wrong} holds none of the 2 files known in {other}; check the path"
    )
    assert two.library.roots() == before


def test_a_forgotten_file_vanishes_at_once_and_stays_away(two, other):
    path = other / "b.png"
    assert two.library.forget([path]) == Forgotten(1, (), (path,))
    assert sorted(two.nearest("green", 5)) == [1, 3]
    assert two.library.find(path) == []
    assert [(g.count, g.deleted) for g in two.library.status().generations] == [(3, 1)]
    assert two.rescan() == {"unchanged": 2}
    # The next compaction leaves it out of the index.
    assert [(g.count, g.deleted) for g in two.library.status().generations] == [(2, 0)]
    assert two.index(path) == {"added": 1, "embedded": 1}
    assert two.library.roots()[1].exclude == ()
    assert two.rescan() == {"unchanged": 3}


def test_a_forgotten_folder_stays_away_with_new_files_in_it(photos):
    photos.paint("trip/a.png", "red")
    photos.paint("trip/deep/b.png", "green")
    photos.paint("tripod.png", "blue")
    caption = photos.write("trip/c.txt", "white\nblack")
    photos.write("trip/bad.png", "bad")
    photos.index(photos.folder, caption)
    trip = photos.folder / "trip"
    assert photos.library.forget([trip]) == Forgotten(4, (), (trip,))
    assert photos.library.status().counts == {"image": 1, "text": 0}
    assert photos.library.failures() == []
    photos.paint("trip/new.png", "yellow")
    photos.paint("sub/trip/new.png", "purple")
    assert photos.rescan() == {"added": 1, "unchanged": 1, "embedded": 1}
    assert photos.index(trip)["added"] == 3


def test_files_gone_from_disk_are_forgotten_without_an_exclusion(two, other):
    (other / "b.png").unlink()
    assert two.library.forget([other / "b.png"]) == Forgotten(1, (), ())
    assert two.library.roots()[1].exclude == ()


def test_texts_come_back_only_when_named_and_need_no_exclusion(photos):
    caption = photos.write("c.txt", "red\ngreen")
    photos.paint("a.png", "blue")
    photos.index(photos.folder, caption)
    assert photos.library.forget([caption]) == Forgotten(2, (), ())
    assert photos.rescan() == {"unchanged": 1}


def test_a_forgotten_root_is_no_longer_watched(two, other):
    assert two.library.forget([other]) == Forgotten(2, (other,), ())
    assert [root.path for root in two.library.roots()] == [two.folder]
    assert two.rescan() == {"unchanged": 1}
    assert two.index(other) == {"added": 2, "embedded": 2}


def test_a_folder_of_single_files_is_unwatched_with_the_last_of_them(photos, tmp_path):
    one = photos.paint("../other/a.png", "red").resolve()
    two = photos.paint("../other/b.png", "green").resolve()
    photos.index(one, two)
    assert photos.library.forget([one]) == Forgotten(1, (), ())
    assert photos.rescan() == {"unchanged": 1}
    assert photos.library.forget([two]) == Forgotten(1, (tmp_path / "other",), ())
    assert photos.library.roots() == []


def test_paths_that_overlap_or_lie_above_roots(two, other, tmp_path):
    two.paint("sub/d.png", "white")
    two.rescan()
    sub = two.folder / "sub"
    assert two.library.forget([sub / "d.png", sub, sub]) == Forgotten(1, (), (sub,))
    assert two.library.forget([tmp_path, other / "b.png"]) == Forgotten(3, (two.folder, other), ())


def test_an_unknown_path_is_an_error_and_forgets_nothing(two, other):
    unknown = two.folder / "unknown.png"
    with pytest.raises(UnknownPath) as caught:
        two.library.forget([other / "b.png", unknown])
    assert str(caught.value) == (
        f"the library knows nothing at {unknown}; check the spelling (`align roots` lists the"
        " watched folders), nothing was forgotten"
    )
    assert two.library.status().counts["image"] == 3
    assert [root.exclude for root in two.library.roots()] == [(), ()]


def test_forgetting_names_in_any_bytes(photos):
    path = photos.paint(b"\xff[1]*.png", "red")
    photos.paint(b"\xff1.png", "green")
    photos.index()
    assert photos.library.forget([path]) == Forgotten(1, (), (path,))
    assert photos.rescan() == {"unchanged": 1}
    assert photos.index(path) == {"added": 1, "embedded": 1}


@pytest.mark.parametrize("mount_point", [True, False])
def test_files_forgotten_while_their_root_is_away_stay_forgotten(two, other, mount_point):
    two.paint("../other/sub/d.png", "yellow")
    caption = two.write("../other/t.txt", "white")
    two.index(other, caption)
    other.rename(other.parent / "away")
    if mount_point:
        other.mkdir()
    chosen = [other / "b.png", other / "sub", other / "t.txt"]
    assert two.library.forget(chosen) == Forgotten(3, (), (other / "b.png", other / "sub"))
    (other.parent / "away").rename(other)
    assert two.rescan() == {"unchanged": 2}
    assert two.index(other / "b.png") == {"added": 1, "embedded": 1}
