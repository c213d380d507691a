"""RAW files of cameras are read by their previews; JPEG XL by its extra."""

import io
from datetime import datetime
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from encoder import PassingPictureError, PictureError, read_picture
from encoder.pictures import raw
from encoder.pictures.picture import readable_extensions
from tests.encoder.pictures.raw_files import raw_file


@pytest.fixture
def quarter() -> Image.Image:
    """Red, with a blue quarter at the top left."""
    picture = Image.new("RGB", (320, 240), (200, 30, 40))
    picture.paste((0, 0, 255), (0, 0, 160, 120))
    return picture


def blue_corner(picture: Image.Image) -> str:
    pixels = np.asarray(picture).astype(int)
    corners = {
        f"{v} {h}": pixels[y, x]
        for v, y in (("top", 10), ("bottom", -10))
        for h, x in (("left", 10), ("right", -10))
    }
    (found,) = (name for name, pixel in corners.items() if pixel[2] > pixel[0])
    return found


@pytest.mark.parametrize("dng", [True, False])
@pytest.mark.parametrize(
    ("orientation", "corner", "size"),
    [
        (1, "top left", (320, 240)),
        (3, "bottom right", (320, 240)),
        (6, "top right", (240, 320)),
        (8, "bottom left", (240, 320)),
    ],
)
def test_the_preview_is_turned_upright(quarter, dng, orientation, corner, size):
    picture = read_picture(io.BytesIO(raw_file(quarter, dng=dng, orientation=orientation)))
    assert (picture.image.size, blue_corner(picture.image)) == (size, corner)
    assert picture.format == "RAW"


@pytest.mark.parametrize("dng", [True, False])
def test_time_and_camera_come_from_the_file(quarter, dng):
    picture = read_picture(io.BytesIO(raw_file(quarter, dng=dng)))
    assert picture.taken_at == datetime(2021, 2, 3, 4, 5, 6)
    assert picture.camera == "Leica Q2"


def test_words_come_from_the_file(quarter):
    xmp = b"""<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
        xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:x="http://ns.adobe.com/xap/1.0/"
        ><rdf:Description dc:title="Harbour" dc:subject="boat" x:Rating="3"/></rdf:RDF>"""
    picture = read_picture(io.BytesIO(raw_file(quarter, xmp=xmp)))
    assert (picture.title, picture.tags, picture.rating) == ("Harbour", ("boat",), 3)


def test_a_file_without_a_preview_says_so(quarter, monkeypatch):
    monkeypatch.setattr(raw, "_by_libraw", lambda data: None)
    with pytest.raises(PictureError, match="without a preview"):
        read_picture(io.BytesIO(raw_file(quarter).replace(b"\xff\xd8", b"\0\0", 1)))


def test_without_the_extra_the_remedy_is_named(quarter, monkeypatch):
    monkeypatch.setattr(raw, "is_available", lambda: False)
    with pytest.raises(PassingPictureError, match=r"pip install 'align-retrieval\[raw\]' reads it"):
        read_picture(io.BytesIO(raw_file(quarter)))


def test_an_ordinary_tiff_is_no_raw_file(quarter):
    file = io.BytesIO()
    quarter.save(file, "TIFF")
    file.seek(0)
    assert not raw.looks_raw(file)
    assert read_picture(file).format == "TIFF"


@pytest.mark.parametrize(
    "head", [b"FUJIFILMCCD-RAW 0201", b"IIRO\x08\0\0\0", b"IIU\0\x08\0\0\0", b"\0\0\0\x18ftypcrx "]
)
def test_other_raw_files_are_known_by_their_beginning(head):
    file = io.BytesIO(head + bytes(100))
    assert raw.looks_raw(file)
    assert file.tell() == 0
    with pytest.raises(PictureError, match="without a preview"):
        read_picture(file)


def test_raws_with_cut_or_looping_directories_are_refused_and_never_hang(quarter):
    data = raw_file(quarter, dng=False)
    for length in range(8, len(data), 997):
        with pytest.raises(PictureError):
            read_picture(io.BytesIO(data[:length]))


def test_jpeg_xl(quarter):
    assert find_spec("pillow_jxl")  # of the extra that tests install
    import pillow_jxl  # noqa: F401 - its import registers the format with Pillow

    file = io.BytesIO()
    quarter.save(file, "JXL", lossless=True)
    picture = read_picture(io.BytesIO(file.getvalue()))
    assert (picture.format, picture.image.size) == ("JXL", (320, 240))
    assert np.array_equal(np.asarray(picture.image), np.asarray(quarter))
    assert {".jxl", ".nef", ".jpg"} <= readable_extensions()
