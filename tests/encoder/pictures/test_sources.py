"""A picture may be given as a path, bytes, an open file, an image of any mode or an array."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from encoder import FakeEncoder, PictureError, read_picture
from encoder.pictures.sources import as_image, open_image, several

STEPS = np.arange(192, dtype=np.uint8).reshape(8, 8, 3) + 64
"""From 64 to 255."""


@pytest.fixture
def turned(tmp_path: Path) -> Path:
    """A JPEG of a red picture with a blue top, which its EXIF turns by a quarter."""
    picture = Image.new("RGB", (64, 32), "red")
    picture.paste("blue", (0, 0, 64, 16))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    picture.save(tmp_path / "a.jpg", exif=exif, quality=95)
    return tmp_path / "a.jpg"


def forms(path: Path):
    """The same picture in every form in which one may hold it."""
    upright = read_picture(path).image
    opened = Image.open(path)
    return {
        "text": str(path),
        "path": path,
        "bytes": path.read_bytes(),
        "bytearray": bytearray(path.read_bytes()),
        "memoryview": memoryview(path.read_bytes()),
        "file": io.BytesIO(path.read_bytes()),
        "as opened": opened,
        "upright": upright,
        "array": np.asarray(upright),
        "not contiguous": np.asarray(upright)[:, ::-1][:, ::-1],
    }


def test_every_form_gives_the_same_upright_picture(turned):
    expected = np.asarray(read_picture(turned).image)
    assert expected.shape == (64, 32, 3)
    assert expected[32, 28, 2] > 200 > 50 > expected[32, 4, 2]  # blue on the right
    for name, source in forms(turned).items():
        assert np.array_equal(np.asarray(open_image(source)), expected), name


def test_an_encoder_takes_every_form(turned):
    encoder = FakeEncoder()
    for name, source in forms(turned).items():
        if not isinstance(source, np.ndarray):
            rows = encoder.encode_images([source])
            assert np.allclose(rows, encoder.encode_images([turned]), atol=1e-6), name
    assert encoder.encode_images(turned).shape == (1, 4)  # one is taken as a list of one


def test_reading_twice_turns_once(turned):
    once = read_picture(turned).image
    assert np.array_equal(np.asarray(as_image(once)), np.asarray(once))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_images_of_any_mode(mode):
    picture = Image.new("RGB", (8, 8), (255, 51, 0)).convert(mode if mode != "PA" else "P")
    found = np.asarray(as_image(picture.convert(mode)), int)
    assert found.shape == (8, 8, 3)
    grey = {"L": 106, "LA": 106}.get(mode)  # ITU-R 601-2, as Pillow has it
    assert mode == "1" or np.abs(found - (grey or (255, 51, 0))).max() <= 3


@pytest.mark.parametrize(
    ("values", "middle"),
    [
        (np.linspace(0, 1, 256), 0.5),  # fractions
        (np.arange(256.0), 0.5),  # eight bits
        (np.append(np.linspace(0, 1, 250), [2, 4, 8, 16, 32, 64]), 0.5),  # lights above white
        (np.linspace(0, 65535, 256).round(), 0.5),  # sixteen bits
    ],
)
def test_pictures_of_floats_are_scaled_sensibly(values, middle):
    picture = Image.fromarray(values.astype(np.float32).reshape(16, 16))
    found = np.asarray(as_image(picture), int).reshape(-1, 3)[:, 0]
    assert abs(found[125] - 255 * middle) < 4
    assert (found[0], found[255]) == (0, 255)


@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 8), (8, 8, 4)])
def test_arrays_that_are_pictures(shape):
    assert as_image(np.full(shape, 255, np.uint8)).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((8, 8, 3), complex),
        np.zeros((8, 8, 3), object),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((8, 8, 2), np.uint8),
        np.zeros(8, np.uint8),
        np.zeros((3, 8, 8)),
    ],
)
def test_other_arrays_are_refused(array):
    with pytest.raises(TypeError, match=r"a picture (is a|of)"):
        as_image(array)


@pytest.mark.parametrize(
    "array",
    [
        STEPS / np.float32(255),
        (STEPS / 255).astype(np.float16),
        STEPS.astype(np.float64),
        STEPS.astype(np.int64),
        STEPS.astype(np.uint16) * 257,
        STEPS.astype(np.float32) * 257,
    ],
)
def test_arrays_of_other_numbers_are_scaled(array):
    assert np.array_equal(np.asarray(as_image(array)), STEPS)
    assert np.array_equal(np.asarray(as_image(array[..., 0])), STEPS[..., [0, 0, 0]])


def test_an_array_of_truth_values_is_black_and_white():
    assert np.array_equal(np.asarray(as_image(STEPS > 100)), np.where(STEPS > 100, 255, 0))


@pytest.mark.parametrize(("mode", "grey"), [("La", "LA"), ("RGBa", "RGBA")])
def test_premultiplied_modes_are_as_their_plain_ones(mode, grey):
    image = Image.fromarray(STEPS).convert(grey)
    image.putalpha(200)
    ours = np.asarray(as_image(image.convert(mode)), int)
    assert abs(ours - np.asarray(as_image(image), int)).max() <= 2


@pytest.mark.parametrize("source", [5, None, ["a.jpg"], {"a": 1}])
def test_what_is_no_picture_is_refused(source):
    with pytest.raises(TypeError, match="a picture is a path, bytes, an open binary file"):
        open_image(source)


def test_bytes_that_are_no_picture(tmp_path):
    for source in (b"nothing", io.BytesIO(b"nothing")):
        with pytest.raises(PictureError, match="not a picture"):
            open_image(source)


def test_one_and_several():
    picture, array = Image.new("RGB", (4, 4)), np.zeros((4, 4, 3), np.uint8)
    for one in ("a.jpg", Path("a.jpg"), b"x", picture, array):
        assert several(one) == [one]
        assert several([one, one]) == [one, one]
    assert len(several(np.zeros((5, 4, 4, 3), np.uint8))) == 5
