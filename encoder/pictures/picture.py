"""Open a picture safely: what Pillow and pillow-heif read, upright, RGB, within a pixel limit."""

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from stat import S_ISREG
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from encoder.errors import PassingPictureError, PictureError
from encoder.pictures import raw
from encoder.pictures.colour import to_srgb
from encoder.pictures.metadata import Metadata, read_metadata
from encoder.pictures.wholeness import close_jpeg, empty_tail, find_loss

MAX_PIXELS = 200_000_000
"""Pictures with more pixels are refused: 200 megapixels of RGB are 800 MB in memory."""

READING_RULES = 1
"""Version of the rules by which files become pixels: it grows when the pixels of any file change.
It is a part of every fingerprint, because other pixels have other embeddings."""

MAX_BYTES = 1 << 30
"""Files with more bytes are refused: they are read into memory whole."""

_ENDINGS = (
    "avif bmp dib gif heic heif hif ico j2k jfif jp2 jpe jpeg jpg mpo pbm pcx pgm png pnm ppm qoi"
    " tga tif tiff webp"
)
EXTENSIONS = frozenset(f".{ending}" for ending in _ENDINGS.split())
"""File name endings (lower case) of pictures, for walks through folders."""

_RAW_ENDINGS = "arw cr2 cr3 dng nef orf raf rw2"
RAW_EXTENSIONS = frozenset(f".{ending}" for ending in _RAW_ENDINGS.split())
"""Of cameras' own files, which the extra ``raw`` reads."""
JXL_EXTENSIONS = frozenset({".jxl"})
"""Of JPEG XL, which the extra ``jxl`` reads."""

_FORMATS = "AVIF BMP DIB GIF HEIF ICO JPEG JPEG2000 PCX PNG PPM QOI TGA TIFF WEBP"
FORMATS = frozenset(_FORMATS.split()) | {"MPO", "JXL", "RAW"}
"""Pillow's names of the formats that are read, of which two need extras; a file of several JPEGs is
an MPO, a file with the data of a camera's sensor RAW."""
_NOISY = r"(PIL|pillow_heif)\b"
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The operation that turns a picture upright, by its EXIF orientation."""
_SAY_ORIENTATION = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")

_lock = threading.Lock()
_ready = False


@dataclass(frozen=True)
class Picture:
    """A decoded picture and what its file says about it."""

    image: Image.Image
    """sRGB, upright by its EXIF orientation, with white for transparent parts; the first frame of
    an animation."""
    format: str
    """Pillow's name of the format, such as ``JPEG`` or ``HEIF``."""
    taken_at: datetime | None
    """Capture time, with its UTC offset if the file says it."""
    camera: str | None
    """Make and model, without repeating the make: ``Canon EOS 5D``, ``Apple iPhone 12``."""
    lens: str | None
    latitude: float | None
    """Degrees, north positive, in [-90, 90]."""
    longitude: float | None
    """Degrees, east positive, in [-180, 180]; None exactly if the latitude is None."""
    title: str | None = None
    """This and what follows come from XMP."""
    description: str | None = None
    tags: tuple[str, ...] = ()
    """Keywords, each once."""
    rating: int | None = None
    """Stars, 0 to 5, or -1 for a rejected picture."""

    @property
    def width(self) -> int:
        """Pixels, upright."""
        return self.image.width

    @property
    def height(self) -> int:
        """Pixels, upright."""
        return self.image.height


def read_picture(
    source: str | bytes | os.PathLike[str] | IO[bytes], max_pixels: int = MAX_PIXELS
) -> Picture:
    """Decode a picture from a path (text or bytes) or an open binary file.

    Raises PictureError with a plain reason if the bytes are not a whole picture of a known format
    (as far as that is certain; the end marker of a JPEG may lack), or if the header says more than
    `max_pixels` pixels (at most MAX_PIXELS): nothing larger is ever decoded. Raises OSError if the
    file itself cannot be opened.
    """
    _set_up_pillow()
    if isinstance(source, str | bytes | os.PathLike):
        with open(source, "rb") as file:
            return _decode(file, max_pixels)
    return _decode(source, max_pixels)


@cache
def readable_extensions() -> frozenset[str]:
    """`EXTENSIONS`, and those that installed extras read."""
    raws = RAW_EXTENSIONS if raw.is_available() else frozenset()
    return EXTENSIONS | raws | (JXL_EXTENSIONS if find_spec("pillow_jxl") else frozenset())


def read_bytes(path: str | os.PathLike[str], offset: int = 0, size: int | None = None) -> bytes:
    """The bytes of a picture's file, or `size` of them from `offset` on.

    Raises PictureError if they are more than MAX_BYTES or the path is that of a pipe or a device,
    OSError if the file cannot be read.
    """
    # Without O_NONBLOCK, a pipe that nobody writes to would wait for ever.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        status = os.fstat(file.fileno())
        if not S_ISREG(status.st_mode):
            raise PictureError("not a regular file")
        length = status.st_size - offset if size is None else size
        if length > MAX_BYTES:
            raise PictureError(f"larger than the limit of {MAX_BYTES:,} bytes")
        if offset:
            file.seek(offset)
        return file.read(max(0, length))


@contextmanager
def opened(path: str | bytes | os.PathLike[str]) -> Iterator[Image.Image]:
    """The picture at `path`, of which only the header is read. Raises OSError."""
    _set_up_pillow()
    with Image.open(path, formats=_formats()) as image:
        yield image


def _formats() -> list[str]:
    return [*_FORMATS.split(), *(["JXL"] if "JXL" in Image.OPEN else [])]


def _decode_raw(file: IO[bytes], max_pixels: int) -> Picture:
    """The preview in a RAW file, with what the file says around it."""
    if not raw.is_available():
        raise PassingPictureError("a RAW file: pip install 'align-retrieval[raw]' reads it")
    jpeg = raw.read_preview(file)
    if jpeg is None:
        raise PictureError("a RAW file without a preview that can be read")
    preview = _decode(io.BytesIO(jpeg), max_pixels)
    file.seek(0)
    own: Metadata | None = None
    image = preview.image
    with suppress(Exception), Image.open(file, formats=["TIFF"]) as outer:  # most are TIFF files
        own = read_metadata(outer)
        if not _says_orientation(jpeg):
            image = _turned(image, outer)
    known = {
        name: (getattr(own, name) if own else None) or getattr(preview, name)
        for name in ("taken_at", "camera", "lens", "title", "description", "tags", "rating")
    }
    place = (own.latitude, own.longitude) if own and own.latitude is not None else None
    latitude, longitude = place or (preview.latitude, preview.longitude)
    return replace(
        preview, image=image, format="RAW", latitude=latitude, longitude=longitude, **known
    )


def _says_orientation(jpeg: bytes) -> bool:
    with Image.open(io.BytesIO(jpeg), formats=["JPEG", "MPO"]) as preview:
        return ExifTags.Base.Orientation in preview.getexif()


def _decode(file: IO[bytes], max_pixels: int) -> Picture:
    try:
        if raw.looks_raw(file):
            return _decode_raw(file, max_pixels)
        with Image.open(file, formats=_formats()) as opened:
            size = f"{opened.width} x {opened.height}"
            if opened.width * opened.height > max_pixels:
                raise PictureError(f"{size} pixels are more than the limit of {max_pixels:,}")
            try:
                opened.load()
            except OSError:
                closed = close_jpeg(file) if opened.format in ("JPEG", "MPO") else None
                if closed is None:
                    raise
                return _decode(io.BytesIO(closed), max_pixels)
            loss = find_loss(file, opened)
            if loss is not None:
                raise PictureError(loss)
            return Picture(upright_rgb(opened), opened.format or "", *read_metadata(opened))
    except PictureError:
        raise
    except UnidentifiedImageError:
        raise PictureError("not a picture in a known format") from None
    except Image.DecompressionBombError:
        raise PictureError(f"more pixels than the limit of {max_pixels:,}") from None
    except MemoryError:
        raise PassingPictureError("not enough memory to decode it") from None
    except Exception as error:
        # Decoders raise a dozen types on damaged bytes (struct.error, SyntaxError, KeyError, ...).
        empty = empty_tail(file)
        if empty is not None:
            raise PictureError(empty) from None
        reason = str(error).strip().splitlines()
        raise PictureError(f"damaged: {reason[0] if reason else type(error).__name__}") from None


def upright_rgb(image: Image.Image) -> Image.Image:
    """An image of any mode, as Pillow opened it, as `Picture.image` describes it."""
    return _rgb(_upright(image))


def _upright(image: Image.Image) -> Image.Image:
    """Like `ImageOps.exif_transpose`, which also rewrites the EXIF block and fails on odd ones."""
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a broken EXIF block must not cost the picture
        return image
    return _transposed(image, turn)


def _turned(image: Image.Image, outer: Image.Image) -> Image.Image:
    """`image` turned as the file around it says."""
    return _transposed(image, _TURNS.get(outer.getexif().get(ExifTags.Base.Orientation, 1)))


def _transposed(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    if turn is None:
        return image
    turned = image.transpose(turn)
    for name in _SAY_ORIENTATION:  # or who is given the result would turn it again
        turned.info.pop(name, None)
    return turned


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(eight_bits(np.array(image), exact=image.mode.startswith("I;")))
    if image.mode in ("La", "RGBa"):
        image = image.convert(image.mode.upper())
    image = to_srgb(image)
    if image.has_transparency_data:
        paper = Image.new("RGB", image.size, "white")
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        paper.paste(image, mask=image)
        return paper
    return (
        image if image.mode == "RGB" else image.convert("RGB")
    )  # no copy: the picture may be huge


def eight_bits(pixels: npt.NDArray[Any], *, exact: bool = False) -> npt.NDArray[np.uint8]:
    """Scale pixels of any number type to uint8; Pillow would clip them to 255, which turns 16-bit
    scans white. The scale is that of 8 bits, 16 bits or, for floats, [0, 1] if all pixels fit into
    it, else the one from their own minimum to their maximum; with `exact`, that of 16 bits.
    Fractions of which nine in ten lie in [0, 1] are a picture with lights above white (HDR), which
    are cut off."""
    floats = pixels.dtype.kind == "f"
    values = np.nan_to_num(pixels.astype(np.float32), copy=False, posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    if low >= 0:
        whites = (65535,) if exact else (1, 255, 65535) if floats else (255, 65535)
        white = next((white for white in whites if high <= white), None)
        fractions = floats and white != 1 and bool((values % 1).any())
        if fractions and np.quantile(values, 0.9) <= 1:
            white = 1
            np.minimum(values, 1, out=values)
        low, high = (low, high) if white is None else (0, white)
    values -= low
    values *= 255 / (high - low) if high > low else 0
    values += 0.5
    return values.astype(np.uint8)


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_renew_lock)


def _set_up_pillow() -> None:
    """Register HEIF, set Pillow's own limit (it raises an error above twice the number) to ours,
    and silence its warnings about what we refuse or repair. `warnings.catch_warnings` does not do:
    two threads that leave it in the wrong order silence the whole process for good."""
    global _ready
    with _lock:
        if not _ready:
            import pillow_heif

            pillow_heif.register_heif_opener()
            with suppress(ImportError):
                import pillow_jxl  # noqa: F401 - its import registers the format with Pillow
            Image.MAX_IMAGE_PIXELS = MAX_PIXELS // 2
            _ready = True
        if _NOISY not in (getattr(module, "pattern", None) for *_, module, _ in warnings.filters):
            warnings.filterwarnings("ignore", module=_NOISY)
