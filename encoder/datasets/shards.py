"""WebDataset shards: tar files of ``key.jpg`` with ``key.txt`` or ``key.json``, not unpacked."""

import glob
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

from encoder.datasets.dataset import StoredPicture
from encoder.datasets.records import Place, Record, Source, captions_of, check_text, decoded
from encoder.datasets.tables import object_at
from encoder.errors import DatasetError
from encoder.pictures.picture import EXTENSIONS

_SAMPLE = re.compile(r"((?:.*/)?[^./]+)\.([^/]+)", re.DOTALL)
"""Key and ending; the first dot of the file name separates them, as in WebDataset."""
_BRACES = re.compile(r"\{(?:(\d+)\.\.(\d+)|([^{}]*,[^{}]*))\}")
_SHARD = re.compile(r"\.(tar(\.(gz|bz2|xz|zst))?|tgz)$")
_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}
_SPLITS = ("train", "restval", "val", "test")
_Sample = dict[str, tarfile.TarInfo]
"""The files of one key, by ending."""


def is_tar(path: Path) -> bool:
    """Whether `path` is a tar file; DatasetError if it is compressed, tar file or not."""
    try:
        with open(path, "rb") as file:
            head = file.read(8)
            for magic, kind in _COMPRESSED.items():
                if head.startswith(magic):
                    raise DatasetError(f"{path} is compressed ({kind}); unpack it first")
            file.seek(0)
            tarfile.open(fileobj=file, mode="r:").close()
    except tarfile.TarError:
        return False
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
    return True


def find_shards(path: Path) -> list[Path]:
    """The tar files of a folder, or of a pattern such as ``{000..003}.tar`` or ``*.tar``, in the
    order of their numbers, 2 before 10. Raises DatasetError if there are none."""
    if os.path.isdir(path):
        inside = glob.glob(os.path.join(glob.escape(str(path)), "*"))
        if found := sorted(filter(_SHARD.search, inside), key=_by_numbers):
            return [Path(name) for name in found]
        raise DatasetError(f"{path} is a folder without tar files; name the annotations file")
    shards: list[Path] = []
    for name in _expanded(str(path)):
        found = [name] if os.path.isfile(name) else sorted(glob.glob(name), key=_by_numbers)
        if not found:
            raise DatasetError(f"there is no file {name}; correct the name of the annotations")
        shards += map(Path, found)
    return shards


def _by_numbers(name: str) -> list[tuple[int, str]]:
    """A sort key that compares digits as numbers; every second part is digits."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if n % 2 else (0, part) for n, part in enumerate(parts)]


def _expanded(pattern: str) -> Iterator[str]:
    """All names that braces stand for, as in a shell: ``{000..003}`` (with zeros) and ``{a,b}``."""
    braces = _BRACES.search(pattern)
    if braces is None:
        yield pattern
        return
    first, last, choices = braces.groups()
    middles = (
        (f"{n:0{len(first)}}" for n in range(int(first), int(last) + 1))
        if choices is None
        else choices.split(",")
    )
    for middle in middles:
        yield from _expanded(pattern[: braces.start()] + middle + pattern[braces.end() :])


def read_shards(path: Path, shards: list[Path]) -> Source:
    """Read the samples of `shards`; none of their pictures is read or unpacked.

    ``key.txt`` holds one caption a line, as in CLIP_benchmark's retrieval sets. If it is missing,
    ``caption`` or ``captions`` of ``key.json`` counts. Shards have no splits, but a folder of
    shards often is one: if its name is ``test`` or the like, the split has this name.
    """
    records: list[Record] = []
    lonely = 0
    for shard in shards:
        if not is_tar(shard):
            raise DatasetError(f"{shard} is not a tar file; download it again or leave it out")
        found, without = _read_shard(shard)
        records += found
        lonely += without
    if not records:
        raise DatasetError(f"{path} holds no pictures beside their captions: key.jpg and key.txt")
    folder = shards[0].absolute().parent.name
    return Source(
        path,
        "WebDataset shards",
        tuple(records),
        whole=folder if folder in _SPLITS else "all",
        notes=(f"Keys left out that have captions but no picture: {lonely:,}.",) if lonely else (),
    )


def _read_shard(shard: Path) -> tuple[list[Record], int]:
    """The records, and how many keys have captions but no picture."""
    samples: dict[str, _Sample] = {}
    records = []
    lonely = 0
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in filter(tarfile.TarInfo.isfile, tar):
                if parts := _SAMPLE.fullmatch(member.name):
                    samples.setdefault(parts[1], {})[parts[2].lower()] = member
            _check_end(tar, shard)
            for sample in samples.values():
                picture = next((m for end, m in sample.items() if f".{end}" in EXTENSIONS), None)
                if picture is None:
                    lonely += not sample.keys().isdisjoint(("txt", "json"))
                    continue
                name = f"{shard.name}/{picture.name}"
                stored = StoredPicture(name, shard, picture.offset_data, picture.size)
                captions = _captions(tar, shard, sample)
                records.append(Record(stored, captions, Place(shard, picture.name)))
    except (tarfile.TarError, OSError) as error:
        raise DatasetError(f"{shard} is damaged ({error}); download it again") from error
    return records, lonely


def _check_end(tar: tarfile.TarFile, shard: Path) -> None:
    """Check that only zeros follow: `tarfile` takes a damaged header for the end of the file."""
    if tar.fileobj is not None:
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise DatasetError(f"{shard} is damaged at byte {tar.offset:,}; download it again")


def _captions(tar: tarfile.TarFile, shard: Path, sample: _Sample) -> tuple[str, ...]:
    member = sample.get("txt") or sample.get("json")
    file = tar.extractfile(member) if member else None
    if member is None or file is None:
        return ()
    place = Place(shard, member.name)
    text = decoded(shard / member.name, file.read())
    if "txt" in sample:
        check_text(text, "the text", place)
        return tuple(text.strip().split("\n"))
    entry = object_at(text, place)
    said = (entry.get("captions"), entry.get("caption")) != (None, None)
    return captions_of(entry, place) if said else ()
