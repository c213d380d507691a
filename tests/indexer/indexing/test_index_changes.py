"""Changes that leave little trace, files that change while they are read, odd names, links and
copies."""

import os
import time
from datetime import datetime

import pytest

from indexer.indexing import reading


def replace_keeping_time(photos, name, colour):
    """Other bytes with the same size and time, as after a quick edit or with a restored time."""
    path = photos.folder / name
    before = path.stat()
    data = photos.paint("spare.bin", colour).read_bytes()
    (photos.folder / "spare.bin").unlink()
    assert len(data) <= before.st_size + 40
    path.write_bytes(data.ljust(before.st_size, b"\0"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def paint_padded(photos, name, colour):
    """A picture, padded to the size of another picture."""
    path = photos.paint(name, colour)
    path.write_bytes(path.read_bytes().ljust(500, b"\0"))
    return path


def racy(photos, sql):
    return [bool(row[0]) for row in sql(photos.library, "SELECT racy FROM files ORDER BY path")]


def test_an_edit_at_the_moment_of_reading_is_noticed(photos, sql):
    paint_padded(photos, "a.png", "red")
    photos.index()
    assert racy(photos, sql) == [True]
    replace_keeping_time(photos, "a.png", "blue")
    assert photos.rescan() == {"changed": 1, "embedded": 1}
    assert photos.nearest("blue") == photos.ids("a.png") == [2]


def test_a_racy_file_is_hashed_once_more_and_then_settled(
    photos, sql, clock, monkeypatch, must_not_load
):
    photos.paint("a.png", "red")
    photos.write("bad.png", "bad")
    caption = photos.write("c.txt", "red\ngreen")
    photos.index(photos.folder, caption)
    failure = photos.library.failures()
    assert racy(photos, sql) == [True] * 3
    changes = sql(photos.library, "SELECT * FROM changes")

    clock.seconds = 100
    with monkeypatch.context() as patch:
        patch.setattr("indexer.indexing.reading._picture", None)  # not even decoded, like the texts
        patch.setattr("indexer.indexing.reading.read_texts", None)
        report = photos.library.index([], must_not_load)
    assert (report.unchanged, report.failed, report.embedded) == (3, 0, 0)
    assert racy(photos, sql) == [False] * 3
    assert photos.library.failures() == failure
    assert sql(photos.library, "SELECT * FROM changes") == changes

    monkeypatch.setattr("indexer.indexing.run.read", None)
    assert photos.library.index([], must_not_load).unchanged == 3


@pytest.mark.parametrize(
    ("age", "expected", "then"), [(1.9, True, True), (2.1, False, False), (-3600, True, False)]
)
def test_the_margin_covers_the_coarsest_clock_and_times_in_the_future(
    photos, sql, monkeypatch, age, expected, then
):
    path = photos.paint("a.png", "red")
    now = 1_700_000_000 * 10**9
    monkeypatch.setattr("indexer.indexing.reading.time_ns", lambda: now)
    os.utime(path, ns=(now, now - int(age * 10**9)))
    photos.index()
    assert racy(photos, sql) == [expected]
    # A clock that runs ahead has passed this time when the file is met again.
    photos.rescan()
    assert racy(photos, sql) == [then]


def test_a_file_with_a_date_in_the_future_is_read_once(photos, sql, monkeypatch):
    path = photos.paint("a.png", "red")
    ahead = time.time_ns() + 10**18
    os.utime(path, ns=(ahead, ahead))
    photos.index()
    assert racy(photos, sql) == [False]
    photos.paint("a.png", "blue")
    assert photos.rescan() == {"changed": 1, "embedded": 1}  # its time is another now


def test_a_time_that_goes_back_is_a_change(photos, settled):
    path = photos.paint("a.png", "red")
    photos.index()
    photos.paint("a.png", "blue")
    photos.touch(path, -100_000)
    assert photos.rescan() == {"changed": 1, "embedded": 1}


def test_a_racy_file_that_cannot_be_opened_keeps_its_item(photos, sql, monkeypatch):
    photos.paint("a.png", "red")
    photos.index()

    def refuse(found):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("indexer.indexing.reading._bytes", refuse)
        assert photos.rescan() == {"unchanged": 1}
    assert racy(photos, sql) == [True]
    assert photos.library.failures() == []
    assert photos.nearest("red") == [1]


class Meddling:
    """Changes a file after it was read and before its status is read again, `times` times."""

    def __init__(self, monkeypatch, path, times):
        self.path = path
        self.times = times
        self.calls = 0
        self.real = os.fstat
        monkeypatch.setattr("os.fstat", self)

    def __call__(self, handle):
        if os.path.samestat(self.real(handle), self.path.stat()):
            self.calls += 1
            if self.calls % 2 == 0 and self.calls // 2 <= self.times:
                with open(self.path, "ab") as file:
                    file.write(b"more")
        return self.real(handle)


def test_a_file_that_changes_while_it_is_read_is_read_again(photos, monkeypatch, sql):
    path = photos.paint("a.png", "red")
    photos.index()
    photos.paint("a.png", "blue")
    photos.touch(path)
    with monkeypatch.context() as patch:
        meddling = Meddling(patch, path, times=1)
        assert photos.rescan(workers=1) == {"changed": 1, "embedded": 1}
    assert meddling.calls >= 4
    assert photos.nearest("blue") == photos.ids("a.png")
    assert (
        photos.library.items(photos.ids("a.png"))[0].digest
        == (sql(photos.library, "SELECT digest FROM files")[0][0])
    )
    assert sql(photos.library, "SELECT size FROM files") == [(path.stat().st_size,)]


def test_a_file_that_keeps_changing_is_a_failure_until_it_stops(photos, monkeypatch, settled):
    path = photos.paint("a.png", "red")
    with monkeypatch.context() as patch:
        Meddling(patch, path, times=99)
        assert photos.index(workers=1) == {"failed": 1}
    (failure,) = photos.library.failures()
    assert (failure.path, failure.reason) == (path, "changed while it was read")
    assert photos.rescan() == {"added": 1, "embedded": 1}
    assert photos.library.failures() == []


def test_a_known_file_that_changes_while_it_is_read_keeps_no_torn_item(photos, monkeypatch):
    path = photos.paint("a.png", "red")
    photos.index()
    with monkeypatch.context() as patch:
        Meddling(patch, path, times=99)  # it is racy, so it is read
        assert photos.rescan(workers=1) == {"failed": 1, "deleted": 1}
    assert photos.nearest("red") == []
    assert photos.rescan() == {"added": 1, "embedded": 1}


def test_the_state_that_was_read_is_recorded(photos, monkeypatch, settled, must_not_load):
    """The file changes after the folder was listed and before it is opened."""
    path = photos.paint("a.png", "red")
    real = reading._bytes

    def late(found):
        photos.paint("a.png", "blue", size=(9, 9))
        os.utime(path, ns=(0, 10**18))
        return real(found)

    with monkeypatch.context() as patch:
        patch.setattr("indexer.indexing.reading._bytes", late)
        assert photos.index() == {"added": 1, "embedded": 1}
    monkeypatch.setattr("indexer.indexing.run.read", None)
    assert photos.library.index([], must_not_load).unchanged == 1
    assert photos.nearest("blue") == [1]
    assert photos.library.items([1])[0].width == 9


def test_a_file_that_could_not_be_opened_is_tried_at_every_run(photos, monkeypatch, settled):
    photos.paint("a.png", "red")
    photos.paint("b.png", "blue")
    real = reading._bytes
    reason = "Permission denied"

    def refuse(found):
        if found.path == b"a.png":
            raise PermissionError(13, reason)
        return real(found)

    def failure():
        (only,) = photos.library.failures()
        return only.reason, only.at

    with monkeypatch.context() as patch:
        patch.setattr("indexer.indexing.reading._bytes", refuse)
        assert photos.index() == {"added": 1, "failed": 1, "embedded": 1}
        first = failure()
        assert photos.rescan() == {"unchanged": 1, "failed": 1}
        assert failure() == first
        reason = "Input/output error"
        assert photos.rescan() == {"unchanged": 1, "failed": 1}
        assert failure()[0] == "cannot be read: Input/output error"
        assert failure()[1] > first[1]
    assert photos.rescan() == {"added": 1, "unchanged": 1, "embedded": 1}
    assert photos.library.failures() == []


def test_an_empty_picture_is_not_tried_again_until_it_is_filled(
    photos, monkeypatch, settled, must_not_load
):
    photos.write("a.png", b"")
    caption = photos.write("c.txt", b"")
    assert photos.index(photos.folder, caption) == {"failed": 1}
    assert [failure.reason for failure in photos.library.failures()] == ["empty file"]
    with monkeypatch.context() as patch:
        patch.setattr("indexer.indexing.run.read", None)
        photos.library.index([], must_not_load)
    assert isinstance(photos.library.failures()[0].at, datetime)
    photos.paint("a.png", "red")
    assert photos.rescan() == {"added": 1, "embedded": 1}


def test_a_bad_file_that_moves_is_a_failure_at_its_new_path(photos, settled):
    old = photos.write("a.png", "bad")
    photos.index()
    new = old.rename(photos.folder / "b.png")
    assert photos.rescan() == {"failed": 1}
    assert [failure.path for failure in photos.library.failures()] == [new]


def test_a_rename_that_changes_only_case_keeps_id_and_embedding(photos, must_not_load):
    old = photos.paint("a.png", "red")
    photos.index()
    old.rename(photos.folder / "A.PNG")
    report = photos.library.index([], must_not_load)
    assert (report.moved, report.added, report.deleted) == (1, 0, 0)
    assert photos.ids("A.PNG") == [1]


def test_on_a_disk_that_ignores_case_a_rename_is_no_copy(photos, monkeypatch, must_not_load):
    """There the old name still leads to the file, but the folder lists the new name."""
    old = photos.paint("a.png", "red")
    photos.index()
    new = old.rename(photos.folder / "A.png")
    real = os.lstat

    def one_case(path):
        return real(new if os.fspath(path) == os.fsencode(old) else path)

    monkeypatch.setattr("os.lstat", one_case)
    report = photos.library.index([], must_not_load)
    monkeypatch.undo()
    assert (report.moved, report.copied, report.unchanged) == (1, 0, 0)
    assert photos.ids("A.png") == [1]
    assert photos.library.status().counts["image"] == 1


def test_a_hard_link_is_a_copy(photos, counting):
    path = photos.paint("a.png", "red")
    os.link(path, photos.folder / "b.png")
    encoder = counting()
    assert photos.index(encoder=encoder) == {"added": 1, "copied": 1, "embedded": 1}
    assert encoder.batches == [1]
    assert photos.nearest("red", 5) == [1, 2]
    path.unlink()
    assert photos.rescan() == {"deleted": 1, "unchanged": 1}
    assert photos.ids("b.png") == [2]


def test_a_name_that_is_not_utf8(photos, settled):
    path = photos.paint(b"\xff.png", "red")
    bad = photos.write(os.fsdecode(b"\xfe.png"), "bad")
    assert photos.index() == {"added": 1, "failed": 1, "embedded": 1}
    assert os.fsencode(photos.library.items([1])[0].path) == os.fsencode(path)
    assert [os.fsencode(failure.path) for failure in photos.library.failures()] == [
        os.fsencode(bad)
    ]
    assert photos.rescan() == {"unchanged": 1}


def test_a_move_between_folders_with_another_time_keeps_the_item(photos, must_not_load):
    old = photos.paint("one/a.png", "red")
    photos.paint("two/b.png", "blue")
    photos.index()
    new = old.rename(photos.folder / "two/a.png")
    photos.touch(new, -5000)
    report = photos.library.index([], must_not_load)
    assert (report.moved, report.unchanged, report.deleted) == (1, 1, 0)
    assert photos.ids("two/a.png") == [1]
