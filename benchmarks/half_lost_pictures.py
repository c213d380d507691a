"""How many half-lost and how many whole pictures `read_picture` refuses, and what its check costs.

    ALIGN_TEST_DATA=FOLDER python benchmarks/half_lost_pictures.py [--pictures 45] [--all]

Every format gets the same COCO photographs, as they are or encoded again at half their size.
`--all` reads every photograph of the folder as well, and takes the time of the check.
"""

import argparse
import io
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from encoder import PictureError
from encoder.pictures import picture
from encoder.pictures.picture import read_picture

FORMATS: dict[str, dict[str, Any]] = {
    **{f"JPEG {q}": {"format": "JPEG", "quality": q} for q in (30, 75, 95)},
    "JPEG 75 optimised": {"format": "JPEG", "quality": 75, "optimize": True},
    "JPEG 75 progressive": {"format": "JPEG", "quality": 75, "progressive": True},
    "JPEG 75 restarts": {"format": "JPEG", "quality": 75, "restart_marker_rows": 1},
    "WebP 80": {"format": "WEBP", "quality": 80},
    "WebP lossless": {"format": "WEBP", "lossless": True, "quality": 20},
    "AVIF": {"format": "AVIF", "speed": 9},
    "HEIC": {"format": "HEIF", "quality": 70},
    "PNG": {"format": "PNG"},
    "GIF": {"format": "GIF"},
    "JPEG 2000": {"format": "JPEG2000"},
    "TIFF LZW": {"format": "TIFF", "compression": "tiff_lzw"},
    "TIFF": {"format": "TIFF"},
    "QOI": {"format": "QOI"},
    "PCX": {"format": "PCX"},
    "TGA": {"format": "TGA"},
    "BMP": {"format": "BMP"},
    "ICO": {"format": "ICO", "sizes": [(128, 128)]},
}
FOLDERS = ("coco_photos", "flickr8k", "imagenet_samples", "imagenet_general", "exif_orientation")


def zeroed(data: bytes, share: float) -> bytes:
    kept = int(len(data) * (1 - share))
    return data[:kept] + bytes(len(data) - kept)


def closed(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)] + b"\xff\xd9"


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "whole": lambda data: data,
    "zeros 1/2": partial(zeroed, share=1 / 2),
    "zeros 1/4": partial(zeroed, share=1 / 4),
    "zeros 1/10": partial(zeroed, share=1 / 10),
    "cut 1/2": lambda data: data[: len(data) // 2],
    "cut 1/2, closed": partial(closed, share=1 / 2),
    "cut 2/3, closed": partial(closed, share=2 / 3),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=45)
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    folder = Path(os.environ["ALIGN_TEST_DATA"])
    photographs = sorted((folder / "coco_photos").rglob("*.jpg"))[: options.pictures]
    print(f"refused of {len(photographs)} | {' | '.join([*DAMAGES, 'plain foot'])} |")
    row("JPEG as it is", [path.read_bytes() for path in photographs])
    for name, how in FORMATS.items():
        row(name, [encode(shrunk(path), how) for path in photographs], how, photographs)
    if options.all:
        everything(folder)


def row(
    name: str,
    files: list[bytes],
    how: dict[str, Any] | None = None,
    paths: list[Path] | None = None,
) -> None:
    counts = [sum(refused(damage(data)) for data in files) for damage in DAMAGES.values()]
    if how and paths:
        counts.append(sum(refused(data) for data in plain_feet(paths, how)))
    print(name, *counts, sep=" | ", flush=True)


def everything(folder: Path) -> None:
    """Every photograph as it is; the time of the check is a share of all reading."""
    ending = (".jpg", ".jpeg", ".png")
    paths = [
        p for name in FOLDERS for p in sorted((folder / name).rglob("*")) if p.suffix in ending
    ]
    check = getattr(picture, "find_loss", None)
    spent = 0.0

    def timed(*args: Any) -> Any:
        nonlocal spent
        began = time.process_time()
        try:
            return check(*args) if check else None
        finally:
            spent += time.process_time() - began

    vars(picture)["find_loss"] = timed
    began = time.process_time()
    wrong = [path for path in paths if refused(path.read_bytes())]
    share = spent / (time.process_time() - began - spent)
    print(
        f"photographs: {len(wrong)} of {len(paths)} refused {wrong[:9]};"
        f" the check costs {share:.2%}"
    )


def refused(data: bytes) -> bool:
    try:
        read_picture(io.BytesIO(data))
    except PictureError:
        return True
    return False


def encode(image: Image.Image, how: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    image.save(file, **how)
    return file.getvalue()


def shrunk(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB").resize((image.width // 2, image.height // 2))


def plain_feet(paths: list[Path], how: dict[str, Any]) -> Iterator[bytes]:
    """Whole pictures whose lower part is of one colour, which codes to few bits or to zeros."""
    for i, path in enumerate(paths):
        pixels = np.array(shrunk(path))
        pixels[pixels.shape[0] * (i % 3) // 4 :] = (128, 0, 255)[i // 3 % 3]
        grey = i % 2 == 1 and how["format"] in ("JPEG", "PNG", "TIFF")
        yield encode(Image.fromarray(pixels).convert("L" if grey else "RGB"), how)


if __name__ == "__main__":
    import pillow_heif

    pillow_heif.register_heif_opener()
    main()
