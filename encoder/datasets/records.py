"""What an annotations file says, before a split is chosen and the pictures are found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from encoder.datasets.dataset import StoredPicture
from encoder.errors import DatasetError

_T = TypeVar("_T")
_KINDS: dict[type, str] = {str: "a text", list: "a list", dict: "an object", int: "a whole number"}


@dataclass(frozen=True)
class Place:
    """A place in a file, for error messages."""

    path: Path
    where: str
    """``line 7``, ``image 3``."""

    def error(self, problem: str) -> DatasetError:
        """The error to raise about a `problem` there."""
        return DatasetError(f"{self.path}, {self.where}: {problem}")


@dataclass(frozen=True)
class Record:
    """One picture and its captions, as the file has them."""

    image: str | StoredPicture
    """Its file, relative to the folder of pictures; or, in a shard, the picture itself."""
    captions: tuple[str, ...]
    place: Place
    split: str | None = None
    """None if the file has no splits."""

    @property
    def name(self) -> str:
        """The picture's name in the file."""
        return self.image if isinstance(self.image, str) else self.image.name


@dataclass(frozen=True)
class Source:
    """The content of an annotations file; the records keep its order."""

    path: Path
    layout: str
    """The format, in words."""
    records: tuple[Record, ...]
    whole: str = "all"
    """The name of the only split, if the records have none."""
    dataset: str | None = None
    """The name of the dataset, if the file says it."""
    notes: tuple[str, ...] = ()
    flat: bool = False
    """Whether a picture may lie in the folder of pictures without the folders in its name."""
    own: bool = False
    """Whether its pictures may have absolute paths, as in a table that the user wrote."""


def merged(records: Iterable[Record]) -> tuple[Record, ...]:
    """One record for each picture, in the order of first appearance, with all its captions.

    Raises DatasetError if a picture has two splits.
    """
    found: dict[str, tuple[Record, list[str]]] = {}
    for record in records:
        first, captions = found.setdefault(record.name, (record, []))
        if record.split != first.split:
            raise record.place.error(
                f"{record.name} has the split {record.split}, but in {first.place.where}"
                f" {first.split}; keep one of them"
            )
        captions += record.captions
    return tuple(
        Record(first.image, tuple(captions), first.place, first.split)
        for first, captions in found.values()
    )


def field(entry: object, key: str, kind: type[_T], place: Place) -> _T:
    """``entry[key]`` of a JSON object; DatasetError if it is missing or not of type `kind`."""
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, kind):
        raise place.error(f"has no {key}, which must be {_KINDS[kind]}")
    if isinstance(value, str):
        check_text(value, key, place)
    return value


def captions_of(entry: Mapping[str, object], place: Place) -> tuple[str, ...]:
    """``captions`` or ``caption`` of a JSON object; either may be a list of texts or one text."""
    value = entry.get("captions", entry.get("caption"))
    captions = [value] if isinstance(value, str) else value
    if not isinstance(captions, list) or not all(isinstance(text, str) for text in captions):
        raise place.error("has no captions, which must be a list of texts")
    for text in captions:
        check_text(text, "a caption", place)
    return tuple(captions)


def check_text(text: str, what: str, place: Place) -> None:
    """Raise DatasetError for half a surrogate pair: JSON can hold it, but no tokenizer takes it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise place.error(f"{what} holds half a character ({text!a}); correct it") from None


def decoded(path: Path, data: bytes) -> str:
    """`data` as UTF-8, with or without a byte order mark; DatasetError if it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Place(path, f"line {line}").error("is not UTF-8; convert the file") from None


def read_bytes(path: Path) -> bytes:
    """The whole file; DatasetError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
