"""Colours of wide-gamut copies are those of the picture."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from encoder import read_picture
from encoder.pictures.sources import as_image


def matrix_profile(columns, gamma: float) -> bytes:
    """An ICC profile of version 2 with three primaries (X, Y, Z under D50) and one gamma."""

    def fixed(value):
        return struct.pack(">i", round(value * 65536))

    def xyz(values):
        return b"XYZ \0\0\0\0" + b"".join(map(fixed, values))

    name = b"Wide"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + bytes(1 + 78)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = {
        b"desc": description,
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
        b"wtpt": xyz((0.9642, 1, 0.8249)),
    }
    tags |= {
        bytes(f"{c}XYZ", "ascii"): xyz(column) for c, column in zip("rgb", columns, strict=True)
    }
    tags |= {bytes(f"{c}TRC", "ascii"): curve for c in "rgb"}
    table, data = struct.pack(">I", len(tags)), b""
    for tag, values in tags.items():
        values += bytes(-len(values) % 4)
        table += tag + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(data), len(values))
        data += values
    body = table + data
    head = struct.pack(
        ">I4sI4s4s4s", 128 + len(body), b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ "
    )
    head = head.ljust(36, b"\0") + b"acsp"
    head = head.ljust(68, b"\0") + struct.pack(">iii", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + body


ADOBE = (
    (0.60974, 0.31111, 0.01947),
    (0.20528, 0.62567, 0.06087),
    (0.14919, 0.06322, 0.74457),
)
"""Primaries of Adobe RGB (1998), section 4.3.1.1, under D50 (its ICC profile)."""
SRGB_TO_XYZ = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
"""Of sRGB under D50 (its ICC profile)."""


def wide(picture: Image.Image) -> Image.Image:
    """The same colours in the numbers of Adobe RGB, by the definitions of both spaces."""
    numbers = np.asarray(picture, np.float64) / 255
    linear = np.where(numbers <= 0.04045, numbers / 12.92, ((numbers + 0.055) / 1.055) ** 2.4)
    there = linear @ SRGB_TO_XYZ.T @ np.linalg.inv(np.array(ADOBE).T).T
    pixels = np.round(np.clip(there, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def colours() -> Image.Image:
    """Muted colours, which both spaces hold."""
    rng = np.random.default_rng(3)
    return Image.fromarray(rng.integers(40, 200, (32, 32, 3), dtype=np.uint8))


def saved(picture: Image.Image, format: str, **how) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **how)
    return file.getvalue()


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_a_wide_gamut_copy_has_the_colours_of_the_picture(colours, format):
    how = {"lossless": True} if format == "WEBP" else {}
    data = saved(wide(colours), format, icc_profile=matrix_profile(ADOBE, 2.19921875), **how)
    found = np.asarray(read_picture(io.BytesIO(data)).image, int)
    wrong = np.asarray(wide(colours), int) - np.asarray(colours, int)
    assert np.abs(wrong).max() > 20  # what it would be without the conversion
    assert np.abs(found - np.asarray(colours, int)).max() <= 3


def test_an_image_as_it_was_opened_is_converted_once(colours):
    data = saved(wide(colours), "PNG", icc_profile=matrix_profile(ADOBE, 2.19921875))
    with Image.open(io.BytesIO(data)) as opened:
        once = as_image(opened)
    assert np.array_equal(np.asarray(as_image(once)), np.asarray(once))
    assert np.array_equal(np.asarray(once), np.asarray(read_picture(io.BytesIO(data)).image))


def test_transparency_stays(colours):
    seen = wide(colours).convert("RGBA")
    seen.putalpha(Image.fromarray(np.tile(np.array([0, 255], np.uint8), (32, 16))))
    data = saved(seen, "PNG", icc_profile=matrix_profile(ADOBE, 2.19921875))
    found = np.asarray(read_picture(io.BytesIO(data)).image, int)
    assert (found[:, ::2] == 255).all()
    assert np.abs(found[:, 1::2] - np.asarray(colours, int)[:, 1::2]).max() <= 3


@pytest.mark.parametrize("profile", [b"", b"nothing", bytes(128), matrix_profile(ADOBE, 1)[:200]])
def test_a_broken_profile_is_ignored(colours, profile):
    data = saved(colours, "PNG", icc_profile=profile)
    assert np.array_equal(np.asarray(read_picture(io.BytesIO(data)).image), np.asarray(colours))


def test_srgb_itself_changes_nothing(colours):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = saved(colours, "PNG", icc_profile=profile)
    assert np.array_equal(np.asarray(read_picture(io.BytesIO(data)).image), np.asarray(colours))
