"""Files that cannot be read: remembered and reported, and no hindrance to other files."""

import sys
from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest

from encoder.errors import PassingPictureError
from encoder.fake import FakeEncoder
from encoder.pictures.decoders import Decoders
from encoder.pictures.picture import EXTENSIONS


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
        patch.setattr("indexer.indexing.run.read", None)
        assert photos.library.index([], must_not_load).failed == 0
    photos.touch(path)
    assert photos.rescan() == {
        "failed": 1
    }  # the bytes are the same, but the touch means another try
    photos.paint("a.png", "red")
    assert photos.rescan() == {"added": 1, "embedded": 1}
    assert photos.library.failures() == []


def test_a_failure_is_forgotten_with_its_file(photos):
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

    import indexer.indexing.reading

    real = indexer.indexing.reading._bytes
    monkeypatch.setattr("indexer.indexing.reading._bytes", lambda found: real(refuse(found)))
    assert photos.index() == {"added": 1, "failed": 1, "embedded": 1}
    assert reasons(photos) == {"a.png": "cannot be read: Permission denied"}


def test_huge_files_are_refused_without_reading_them(photos, monkeypatch):
    path = photos.paint("a.png", "red", size=(300, 300))
    monkeypatch.setattr("indexer.indexing.reading.MAX_BYTES", 100)
    assert photos.index() == {"failed": 1}
    assert path.stat().st_size > 100
    assert reasons(photos) == {"a.png": "larger than the limit of 100 bytes"}


@pytest.mark.parametrize("name", ["a.png", "b.png"])
def test_an_encoder_that_fails_ends_the_run_and_is_no_failure_of_a_file(photos, counting, name):
    photos.paint(name, "red")
    with pytest.raises(ZeroDivisionError):
        photos.index(encoder=counting(fail_at=1, error=ZeroDivisionError))
    assert photos.library.failures() == []
    assert photos.library.model is None


class Recording(Decoders):
    made = None

    def __init__(self):
        super().__init__(timeout=2, patience=3)
        self.started = []
        Recording.made = self

    def _start(self):
        self.started.append(super()._start())
        return self.started[-1]


HARMFUL = """
import os, signal, time
from encoder.fake import FakeEncoder
class Harmful(FakeEncoder):
    @staticmethod
    def prepare(picture):
        if picture.width == 1:
            time.sleep(3600)
        if picture.width == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return FakeEncoder.prepare(picture)
"""


@pytest.fixture
def harmful(tmp_path, monkeypatch):
    monkeypatch.setattr("indexer.indexing.run.Decoders", Recording)
    (tmp_path / "harmful_encoder.py").write_text(HARMFUL)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "harmful_encoder", raising=False)
    return import_module("harmful_encoder").Harmful()


@pytest.mark.parametrize("workers", [1, 3])
def test_pictures_that_harm_the_decoder_fail_alone(photos, harmful, workers):
    for n in range(20):
        photos.paint(f"{n:02}.png", (n, 0, 0), size=(9, 9))
    photos.paint("05.png", "red", size=(1, 1))
    photos.paint("11.png", "red", size=(2, 2))
    photos.paint("12.png", "red", size=(2, 1))
    assert photos.index(encoder=harmful, workers=workers) == {
        "added": 17,
        "failed": 3,
        "embedded": 17,
    }
    assert reasons(photos) == {
        "05.png": "was not decoded within 3 s",
        "11.png": "the system stopped its decoder (signal 9)",
        "12.png": "the system stopped its decoder (signal 9)",
    }
    started = Recording.made.started
    assert len(started) <= workers + 3
    assert all(child.returncode is not None for child in started)  # none is left behind


def test_an_interrupted_run_leaves_no_child_behind(photos, harmful):
    for n in range(8):
        photos.paint(f"{n}.png", (n, 0, 0), size=(9, 9))
    photos.paint("9.png", "red", size=(1, 1))  # still decoding when the run ends

    def interrupt(rows):
        raise KeyboardInterrupt

    harmful._embed = interrupt
    with pytest.raises(KeyboardInterrupt):
        photos.index(encoder=harmful, batch_size=2, workers=3)
    assert all(child.returncode is not None for child in Recording.made.started)


def test_no_child_is_started_for_a_file_that_is_not_decoded(photos, harmful, must_not_load):
    path = photos.paint("a.png", "red")
    texts = photos.write("b.txt", "a red thing")
    photos.index(photos.folder, texts)
    assert len(Recording.made.started) == 1
    path.rename(photos.folder / "c.png")
    photos.touch(photos.folder / "c.png")
    texts.write_text("a red thing\na green one")
    assert photos.rescan() == {"added": 1, "embedded": 1, "moved": 1, "unchanged": 1}
    assert Recording.made.started == []


def test_awkward_images(photos, data_dir):
    """Every file with the ending of a picture becomes an item or a failure."""
    folder = (data_dir / "awkward_images").resolve()
    pictures = [p for p in folder.rglob("*") if p.suffix.lower() in EXTENSIONS]
    report = photos.index(folder)
    assert report["added"] + report.get("copied", 0) + report["failed"] == len(pictures)
    failed = {failure.path for failure in photos.library.failures()}
    for path in pictures:
        assert len(photos.library.find(path)) == (path not in failed), path
    assert {"truncated.jpg", "truncated.png"} <= {path.name for path in failed}


@pytest.fixture
def stopped(photos, monkeypatch):
    """A set of names of pictures whose decoder the system stops."""
    names, decode = set[str](), Decoders.decode

    def decode_or_not(self, data, prepare):
        if any(data == (photos.folder / name).read_bytes() for name in names):
            raise PassingPictureError("the system stopped its decoder (signal 9)")
        return decode(self, data, prepare)

    monkeypatch.setattr(Decoders, "decode", decode_or_not)
    return names


def test_a_failure_that_passes_is_tried_at_every_run(photos, stopped):
    photos.paint("a.png", "red")
    photos.paint("good.png", "green")
    photos.write("bad.png", "bad")
    stopped.add("a.png")
    assert photos.index() == {"added": 1, "failed": 2, "embedded": 1}
    report = photos.library.index([], FakeEncoder)
    assert (report.unchanged, report.failed, report.failing, report.passing) == (1, 1, 2, 1)
    status = photos.library.status()
    assert (status.failures, status.passing) == (2, 1)
    assert {f.path.name: f.passing for f in photos.library.failures()} == {
        "a.png": True,
        "bad.png": False,
    }
    assert photos.library.verify() == []
    stopped.clear()
    report = photos.library.index([], FakeEncoder)
    assert (report.added, report.failed, report.failing, report.passing) == (1, 0, 1, 0)
    assert reasons(photos) == {"bad.png": "not a picture in a known format"}


def test_a_picture_that_cannot_be_embedded_again_now_keeps_its_item(photos, stopped, sql):
    photos.paint("a.png", "red")
    photos.paint("b.png", "green")
    photos.index()
    stopped.add("a.png")
    new = FakeEncoder("new", "0123")
    report = photos.library.index([], lambda: new, reembed=True)
    assert (report.failed, report.passing, report.deleted) == (1, 1, 0)
    assert photos.ids("a.png", "b.png") == [1, 2]
    assert photos.library.verify() == []
    stopped.clear()
    assert photos.rescan(encoder=new) == {"reembedded": 1, "unchanged": 1, "embedded": 1}
    assert photos.nearest("red", 1) == photos.ids("a.png") == [1]


def test_a_picture_that_changed_and_cannot_be_read_now_loses_the_item_of_its_old_bytes(
    photos, stopped
):
    photos.paint("a.png", "red")
    photos.index()
    photos.paint("a.png", "blue")
    photos.touch(photos.folder / "a.png")
    stopped.add("a.png")
    assert photos.rescan()["deleted"] == 1
    stopped.clear()
    assert photos.rescan()["added"] == 1
