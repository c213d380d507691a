"""Find the format of an annotations file by its content, and read the file."""

import json
import os
from pathlib import Path

from encoder.datasets.coco import read_coco
from encoder.datasets.flickr_tokens import is_token_line, read_tokens
from encoder.datasets.karpathy import read_karpathy
from encoder.datasets.records import Place, Source, decoded, read_bytes
from encoder.datasets.shards import find_shards, is_tar, read_shards
from encoder.datasets.tables import is_csv_header, read_csv, read_json_lines
from encoder.errors import DatasetError


def read_annotations(path: Path) -> Source:
    """Read the source at `path`: a file, or a folder or a pattern of shards.

    Raises DatasetError if its format is unknown, it is damaged, or it holds no pictures.
    """
    if not os.path.isfile(path):
        source = read_shards(path, find_shards(path))
    elif is_tar(path):
        source = read_shards(path, [path])
    else:
        source = _read_text(path, decoded(path, read_bytes(path)))
    if not source.records:
        raise DatasetError(f"{path} holds no pictures: name another file")
    return source


def _read_text(path: Path, text: str) -> Source:
    line = next((line for line in text.split("\n") if line.strip()), "")
    if not line:
        raise DatasetError(f"{path} is empty: name another file")
    if is_token_line(line):
        return read_tokens(path, text)
    if line.lstrip().startswith(("{", "[")):
        return _read_json(path, text, line)
    if is_csv_header(line):
        return read_csv(path, text)
    raise Place(path, "first line").error(
        f"{line.strip()[:80]!r} has no known format; expected is name.jpg#0, a tab and a caption,"
        " or the header of a table with the columns image and caption, separated by commas, or"
        " JSON, or a tar file"
    )


def _read_json(path: Path, text: str, first_line: str) -> Source:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        try:
            json.loads(first_line)
        except (ValueError, RecursionError):
            raise DatasetError(f"{path} is not JSON: {error}; download or write it again") from None
        return read_json_lines(path, text)
    if isinstance(value, dict) and "image" in value:
        return read_json_lines(path, text)
    images = value.get("images") if isinstance(value, dict) else None
    if isinstance(images, list) and isinstance(value.get("annotations"), list):
        return read_coco(path, images, value["annotations"])
    if isinstance(images, list) and any(isinstance(i, dict) and "sentences" in i for i in images):
        return read_karpathy(path, images, value.get("dataset"))
    raise DatasetError(
        f"{path} is JSON of an unknown kind; known are Karpathy's (images with sentences), COCO's"
        ' captions (images and annotations), and lines of {"image": ..., "captions": [...]}'
    )
