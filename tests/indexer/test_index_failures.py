"""Files that cannot be read: remembered, reported, never in anyone's way."""

from datetime import UTC, datetime, timedelta

import pytest


def reasons(photos):
    return {failure.path.name: failure.reason for failure in photos.library.failures()}


def test_bad_files_neither_stop_nor_shift_the_others(photos):
    photos.paint("a.png", "red")
    photos.write("b.png", "this is no picture")
    photos.write("c.jpg", b"")
    whole = photos.paint("d.png", "blue", size=(64, 64)).read_bytes()
    photos.write("d.png", whole[:60])
    photos.paint("e.png", "green")

    assert photos.index(batch_size=2) == {"added": 2, "failed": 3, "embedded": 2}

    assert photos.nearest("green", 5) == photos.ids("e.png", "a.png")
    found = reasons(photos)
    assert found["b.png"] == "not a picture in a known format"
    assert found["c.jpg"] == "empty file"
    assert found["d.png"].startswith("damaged: ")
    assert set(found) == {"b.png", "c.jpg", "d.png"}
    ages = [datetime.now(UTC) - failure.at for failure in photos.library.failures()]
    assert all(timedelta(0) <= age < timedelta(minutes=1) for age in ages)
    assert photos.library.status().failures == 3


def test_bad_bytes_are_not_retried_until_the_file_changes(
    photos, monkeypatch, must_not_load, settled
):
    path = photos.write("a.png", "bad")
    photos.index()
    with monkeypatch.context() as patch:
        patch.setattr("indexer.build.read", None)
        assert photos.library.index([], must_not_load).failed == 0
    photos.touch(path)
    assert photos.rescan() == {"failed": 1}  # same bytes, but someone asked for another try
    photos.paint("a.png", "red")
    assert photos.rescan() == {"added": 1, "embedded": 1}
    assert photos.library.failures() == []


def test_failure_is_forgotten_with_its_file(photos):
    path = photos.write("a.png", "bad")
    photos.paint("b.png", "red")
    photos.index()
    path.unlink()
    assert photos.rescan() == {"unchanged": 1}
    assert photos.library.failures() == []


def test_a_file_that_fails_after_a_change_loses_its_old_item(photos):
    photos.paint("a.png", "red")
    photos.paint("b.png", "green")
    photos.index()
    photos.write("a.png", "bad")
    assert photos.rescan() == {"failed": 1, "deleted": 1, "unchanged": 1}
    assert photos.nearest("red", 5) == [2]
    assert reasons(photos) == {"a.png": "not a picture in a known format"}


def test_files_that_cannot_be_opened(photos, monkeypatch):
    photos.paint("a.png", "red")
    photos.paint("b.png", "green")

    def refuse(found):
        if found.path == b"a.png":
            raise PermissionError(13, "Permission denied")
        return found

    import indexer.reading

    real = indexer.reading._bytes
    monkeypatch.setattr("indexer.reading._bytes", lambda found: real(refuse(found)))
    assert photos.index() == {"added": 1, "failed": 1, "embedded": 1}
    assert reasons(photos) == {"a.png": "cannot be read: Permission denied"}


def test_huge_files_are_refused_unread(photos, monkeypatch):
    path = photos.paint("a.png", "red", size=(300, 300))
    monkeypatch.setattr("indexer.reading.MAX_BYTES", 100)
    assert photos.index() == {"failed": 1}
    assert path.stat().st_size > 100
    assert reasons(photos) == {"a.png": "larger than the limit of 100 bytes"}


@pytest.mark.parametrize("name", ["a.png", "b.png"])
def test_an_encoder_that_fails_is_no_failure_of_a_file(photos, counting, name):
    photos.paint(name, "red")
    with pytest.raises(ZeroDivisionError):
        photos.index(encoder=counting(fail_at=1, error=ZeroDivisionError))
    assert photos.library.failures() == []
    assert photos.library.model is None
