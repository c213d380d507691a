"""Half-lost files are refused with a plain reason; whole ones, however plain or padded, are not."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, TiffImagePlugin

from encoder import PictureError
from encoder.pictures.picture import read_picture

pillow_heif.register_heif_opener()

END = b"\xff\xd9"
JPEGS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "optimised": {"optimize": True},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "no subsampling": {"subsampling": 0, "quality": 95},
    "coarse": {"quality": 30},
}
CODED: dict[str, dict[str, Any]] = {
    "WEBP": {"quality": 80},
    "WEBP lossless": {"lossless": True},
    "WEBP alpha": {"quality": 60},
    "AVIF": {"speed": 10},
    "HEIF": {},
    "PNG": {},
    "GIF": {},
    "JPEG2000": {},
    "QOI": {},
    "PCX": {},
    "ICO": {"sizes": [(192, 192)]},
    "TIFF": {"compression": "tiff_lzw"},
}
WHOLE = [*(("JPEG", how) for how in JPEGS.values()), *CODED.items()]


def scene(mode: str = "RGB") -> Image.Image:
    """Like a photograph: shades, edges, and a little noise, 256 x 192."""
    noise = np.random.default_rng(5)
    rough = Image.fromarray(noise.integers(0, 256, (12, 16, 3), np.uint8)).resize((256, 192))
    pixels = np.asarray(rough).astype(int) + noise.integers(-12, 13, (192, 256, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert(mode)


def with_foot(colour: int, top: int, mode: str = "RGB") -> Image.Image:
    picture = scene(mode)
    picture.paste((colour,) * len(picture.getbands()), (0, top, 256, 192))
    return picture


def encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    if kind == "WEBP alpha":
        picture = picture.convert("RGBA")
        picture.putalpha(picture.getchannel("G"))
    picture.save(file, kind.split()[0], **options)
    return file.getvalue()


def jpeg(picture: Image.Image | None = None, **options: Any) -> bytes:
    return encode(picture or scene(), "JPEG", **options)


def zeroed(data: bytes, share: float) -> bytes:
    kept = int(len(data) * share)
    return data[:kept] + bytes(len(data) - kept)


def read(data: bytes) -> Image.Image:
    return read_picture(io.BytesIO(data)).image


def reason(data: bytes) -> str:
    with pytest.raises(PictureError) as caught:
        read(data)
    return str(caught.value)


@pytest.mark.parametrize("share", [0.5, 0.75, 0.9])
@pytest.mark.parametrize(("kind", "options"), WHOLE)
def test_a_file_whose_rest_is_zeros_is_refused(kind: str, options: Any, share: float) -> None:
    data = zeroed(encode(scene(), kind, **options), share)
    if kind == "TIFF":  # its directory stands at the end
        assert reason(data) == "not a picture in a known format"
    else:
        percent = round(100 * (1 - len(data.rstrip(b"\0")) / len(data)))
        empty = f"damaged: the last {percent}% of the file is empty (an interrupted copy?)"
        assert reason(data) == empty


@pytest.mark.parametrize("kept", [0.2, 0.4, 0.5])
@pytest.mark.parametrize("name", [name for name in JPEGS if name != "progressive"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_cut_and_closed_is_refused(mode: str, name: str, kept: float) -> None:
    data = jpeg(scene(mode), **JPEGS[name])
    for cut in range(int(len(data) * kept), int(len(data) * kept) + 40):
        said = reason(data[:cut] + END)
        assert "missing (a cut file?)" in said or "empty" in said


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_progressive_jpeg_cut_and_closed_is_refused_or_only_coarse(mode: str) -> None:
    data = jpeg(scene(mode), progressive=True)
    whole = np.asarray(read(data)).astype(int)
    said: set[str] = set()
    accepted = []
    cuts = range(data.index(b"\xff\xda") + 20, data.rindex(b"\xff\xda"), 61)
    for cut in cuts:
        try:
            accepted.append(float(abs(whole - np.asarray(read(data[:cut] + END))).mean()))
        except PictureError as error:
            said.add(str(error).split(" (")[0])
    # Between two scans, and in the first rows of one, the cut cannot be told from a coarse picture.
    assert len(accepted) < 0.25 * len(cuts)
    assert max(accepted, default=0) < 20
    assert "damaged: its last scans are missing" in said


def test_the_reason_tells_the_share_of_the_rows() -> None:
    data = jpeg()
    first = data.index(b"\xff\xda")
    said = reason(data[: (first + len(data)) // 2] + END)
    percent = int(said.removeprefix("damaged: the last ").split("%")[0])
    assert said == f"damaged: the last {percent}% of its rows are missing (a cut file?)"
    assert 40 <= percent <= 60


def test_little_that_is_missing_below_a_grey_foot_does_not_matter() -> None:
    data = jpeg(with_foot(128, 40))
    assert read(data[:-6] + END).size == (256, 192)


def test_zeros_before_an_end_marker_are_refused_too() -> None:
    data = jpeg(optimize=True)
    assert "missing" in reason(zeroed(data, 0.5) + END) or "empty" in reason(
        zeroed(data, 0.5) + END
    )


@pytest.mark.parametrize("top", [0, 50, 100, 180])
@pytest.mark.parametrize("colour", [0, 127, 128, 255])
@pytest.mark.parametrize(("kind", "options"), WHOLE)
def test_a_whole_picture_with_a_plain_foot_is_read(
    kind: str, options: Any, colour: int, top: int
) -> None:
    data = encode(with_foot(colour, top), kind, **options)
    with Image.open(io.BytesIO(data)) as plain:
        assert read(data).size == plain.size


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("quality", [30, 50, 75, 95])
@pytest.mark.parametrize("name", JPEGS)
def test_a_whole_jpeg_with_a_grey_foot_is_read(name: str, quality: int, mode: str) -> None:
    options = JPEGS[name] | {"quality": quality}
    for colour in (127, 128):
        for top in (0, 40, 128):
            data = jpeg(with_foot(colour, top, mode), **options)
            for whole in (data, data + bytes(5000), data.removesuffix(END)):
                assert read(whole).size == (256, 192)


def test_a_large_plain_webp_ends_in_zeros_that_it_needs() -> None:
    large = scene().resize((1600, 1200))
    large.paste((0, 0, 0), (0, 500, 1600, 1200))
    for options in ({"quality": 80, "method": 0}, {"lossless": True, "method": 0, "quality": 0}):
        data = encode(large, "WEBP", **options)
        assert data.endswith(bytes(200))
        assert np.asarray(read(data))[-1].max() == 0


@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_that_lacks_its_end_marker_alone_is_read(name: str) -> None:
    data = jpeg(**JPEGS[name])
    expected = np.asarray(read(data))
    for whole in (data[:-2], data[:-2] + bytes(3000)):
        assert np.array_equal(np.asarray(read(whole)), expected)
    assert "truncated" in reason(data[:-40])


@pytest.mark.parametrize("size", [1, 63, 64, 4096, 70_000])
@pytest.mark.parametrize(("kind", "options"), WHOLE)
def test_a_file_filled_up_with_zeros_is_read(kind: str, options: Any, size: int) -> None:
    data = encode(scene(), kind, **options)
    assert np.array_equal(np.asarray(read(data + bytes(size))), np.asarray(read(data)))


def test_what_stands_behind_a_jpeg_does_not_matter() -> None:
    data, thumbnail = jpeg(), jpeg(scene().resize((40, 30)))
    for appended in (b"ftypmp42" + bytes(9000), thumbnail, zeroed(thumbnail, 0.5), b"\xff" * 900):
        assert read(data + appended).size == (256, 192)


def test_the_end_of_a_thumbnail_is_not_that_of_the_picture() -> None:
    thumbnail = jpeg(scene().resize((40, 30)))
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 8) + b"Exif\0\0" + thumbnail
    data = jpeg()
    data = data[:2] + segment + data[2:]
    assert read(data).size == (256, 192)
    assert "empty" in reason(zeroed(data, 0.6))
    assert "missing" in reason(data[: int(len(data) * 0.6)] + END)


def test_a_jpeg_of_several_pictures() -> None:
    data = encode(scene(), "MPO", save_all=True, append_images=[scene().rotate(180)])
    for whole in (data, data + bytes(500), zeroed(data, 0.75)):  # the first picture is there
        assert read_picture(io.BytesIO(whole)).format == "MPO"
    assert "empty" in reason(zeroed(data, 0.3))
    grey = encode(with_foot(128, 40), "MPO", save_all=True, append_images=[scene()])
    assert read_picture(io.BytesIO(grey)).format == "MPO"


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "GIF"])
def test_an_animation_needs_its_first_frame_alone(kind: str) -> None:
    frames = [scene().rotate(angle) for angle in (0, 90, 180)]
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    assert read(data + bytes(500)).size == (256, 192)
    assert reason(zeroed(data, 0.2)).startswith("damaged: the last 80%")


def test_an_exif_block_behind_the_pixels_may_end_in_zeros() -> None:
    exif = Image.Exif()
    exif[0x010E] = "words" + "\0" * 3000
    for kind in ("WEBP", "AVIF", "HEIF", "PNG"):
        assert read(encode(scene(), kind, exif=exif.tobytes() + bytes(999))).size == (256, 192)


def test_compressed_strips_behind_the_directory() -> None:
    """Pillow and libtiff put the directory last; cameras and others put it first."""
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        data = encode(scene(), "TIFF", compression=compression)
        with Image.open(io.BytesIO(data)) as image:
            assert isinstance(image, TiffImagePlugin.TiffImageFile)
            tags = image.tag_v2
            strips = list(zip(tags[273], tags[279], strict=True))
            code = tags[259]
        pixels = b"".join(data[at : at + size] for at, size in strips)
        rows, before, offset = tags[278], 8 + 2 + 10 * 12 + 4, 0
        lists = b"".join(struct.pack("<I", size) for _, size in strips)
        begin = before + 6 + 2 * len(lists)
        places = b""
        for _, size in strips:
            places += struct.pack("<I", begin + offset)
            offset += size
        count = len(strips)
        assert count > 1
        entries = [
            (256, 3, 1, 256),
            (257, 3, 1, 192),
            (258, 3, 3, before),
            (259, 3, 1, code),
            (262, 3, 1, 2),
            (273, 4, count, before + 6),
            (277, 3, 1, 3),
            (278, 3, 1, rows),
            (279, 4, count, before + 6 + len(lists)),
            (317, 3, 1, tags.get(317, 1)),
        ]
        whole = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries))
        whole += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
        whole += struct.pack("<3H", 8, 8, 8) + places + lists + pixels
        assert np.array_equal(np.asarray(read(whole)), np.asarray(scene()))
        for share in (0.5, 0.9):
            assert "of the file is empty" in reason(zeroed(whole, share))


def test_black_rows_of_uncoded_pixels_are_pixels() -> None:
    for kind in ("BMP", "PPM", "TGA", "TIFF"):
        assert np.asarray(read(encode(with_foot(0, 60), kind)))[60:].max() == 0


def test_outside_photographs_are_whole(data_dir: Path) -> None:
    photographs = sorted((data_dir / "coco_photos").rglob("*.jpg"))
    assert len(photographs) == 52
    for path in photographs[::4]:
        data = path.read_bytes()
        assert read(data).width > 0
        assert "empty" in reason(zeroed(data, 0.5))
        assert "missing" in reason(data[: len(data) // 2] + END)
