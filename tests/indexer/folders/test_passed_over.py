"""What a run does not read is counted by kind, with what would read it."""

import pytest
from PIL import Image

from encoder.fake import FakeEncoder
from encoder.pictures.picture import RAW_EXTENSIONS, readable_extensions
from indexer import remedies
from indexer.folders import sources
from tests.encoder.pictures.raw_files import raw_file


@pytest.fixture
def without_extras(monkeypatch):
    plain = readable_extensions() - {".jxl", *RAW_EXTENSIONS}
    monkeypatch.setattr(sources, "readable_extensions", lambda: plain)


def counts(photos):
    return dict(photos.library.status().passed_over)


def test_videos_drawings_and_links_are_counted(photos):
    photos.paint("a.png", "red")
    for name in ("a.MOV", "sub/b.mov", "c.psd", "d.pef", "notes.md", "e.xyz", ".hidden.mov"):
        photos.write(name, "")
    (photos.folder / "link.png").symlink_to(photos.folder / "a.png")
    assert photos.index() == {"added": 1, "embedded": 1}
    report = photos.library.index([photos.folder / "sub"], FakeEncoder)
    assert report.passed_over == {".mov": 1}  # a part of the root: the whole is still known
    found = {".mov": 2, ".pef": 1, ".psd": 1, "link": 1}
    assert counts(photos) == found
    assert remedies(found) == [
        "1 .pef (RAW files that are not read; export them as JPEG or DNG)",
        "2 .mov (videos are not read)",
        "1 .psd (export them as PNG or JPEG)",
        "1 link (symbolic links; --follow-symlinks reads them)",
    ]
    (photos.folder / "a.MOV").unlink()
    (photos.folder / "link.png").unlink()
    photos.index()
    assert counts(photos) == {".mov": 1, ".pef": 1, ".psd": 1}


def test_a_raw_file_beside_its_jpeg_is_left_out(photos):
    for name in ("a.DNG", "b.dng"):
        (photos.folder / name).write_bytes(raw_file(Image.new("RGB", (64, 48), "red")))
    assert photos.index() == {"added": 1, "copied": 1, "embedded": 1}
    photos.paint("A.jpg", "green")
    assert photos.index() == {"added": 1, "deleted": 1, "unchanged": 1, "embedded": 1}
    assert counts(photos) == {"raw+jpeg": 1}
    (photos.folder / "A.jpg").unlink()
    assert photos.index()["copied"] == 1
    assert counts(photos) == {}


def test_without_the_extras_nothing_known_is_lost(photos, without_extras, monkeypatch):
    for name in ("a.dng", "b.jxl"):
        photos.write(name, "")
    photos.paint("c.png", "red")
    assert photos.index() == {"added": 1, "embedded": 1}
    assert counts(photos) == {".dng": 1, ".jxl": 1}
    assert remedies(counts(photos)) == [
        "1 .dng (pip install 'align-retrieval[raw]' reads them)",
        "1 .jxl (pip install 'align-retrieval[jxl]' reads them)",
    ]


def test_a_raw_file_stays_when_the_extra_goes(photos, monkeypatch):
    (photos.folder / "a.dng").write_bytes(raw_file(Image.new("RGB", (64, 48), "red")))
    assert photos.index() == {"added": 1, "embedded": 1}
    monkeypatch.setattr(sources, "readable_extensions", lambda: frozenset({".png"}))
    assert photos.index() == {"unchanged": 1}
