"""The pictures of a dataset, decoded once: this shows that they can be, and is quick later."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from encoder.datasets.dataset import Dataset, DatasetPicture, Example
from encoder.datasets.decoding import decode_picture, decode_pictures
from encoder.durable import write_whole
from encoder.errors import DatasetError, PictureError
from encoder.pictures.decoders import Decoders
from encoder.pictures.picture import READING_RULES
from encoder.preprocess import Preprocessor
from encoder.protocol import Pixels

CACHE_BYTES = 16_000_000_000
"""Prepared pictures are kept in a file if it takes at most this much, and half the free disk."""

_ARRAY, _RECORD = "pictures.npy", "pictures.json"


class PreparedPictures:
    """The pictures of a dataset, in order, as one `Preprocessor` makes them. Pictures with equal
    pixels are one example, with the captions of all."""

    def __init__(
        self,
        examples: Sequence[Example],
        digests: Sequence[str],
        rows: Sequence[int],
        preprocessor: Preprocessor,
        cached: npt.NDArray[np.uint8] | None,
    ) -> None:
        self.examples = tuple(examples)
        self._rows, self._preprocessor, self._cached = rows, preprocessor, cached
        self._decoders = Decoders()
        parts = [[d, *e.captions] for d, e in zip(digests, self.examples, strict=True)]
        self.identity = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        """SHA-256 of all pixels and captions, a hex string."""

    def __len__(self) -> int:
        return len(self.examples)

    def pixels(self, index: int) -> Pixels:
        """One picture, (h, w, 3) uint8; DatasetError if it can no longer be read."""
        if self._cached is None:
            picture = self.examples[index].picture
            try:
                return decode_picture(self._decoders, picture, self._preprocessor.prepare)
            except PictureError as error:
                raise DatasetError(
                    f"{picture.name} can no longer be read ({error}): put it back and give"
                    " the same command"
                ) from error
        pixels: Pixels = self._cached[self._rows[index]]
        return pixels


def prepare_pictures(
    dataset: Dataset,
    preprocessor: Preprocessor,
    folder: Path,
    *,
    allow_missing: bool = False,
    advance: Callable[[int], None] = lambda n: None,
) -> PreparedPictures:
    """Decode all pictures of `dataset`, and keep them in `folder` if they fit into `CACHE_BYTES`.

    A second call with the same folder decodes only the pictures that the first could not read.
    Raises a DatasetError that counts and names the pictures that cannot be read, unless
    `allow_missing` leaves them out. It never raises PictureError. `advance` is called with the
    number of pictures done since its last call.
    """
    folder.mkdir(exist_ok=True)
    names = [example.picture.name for example in dataset.examples]
    asked = json.dumps([names, asdict(preprocessor), READING_RULES])
    key = hashlib.sha256(asked.encode()).hexdigest()
    record = _recorded(folder / _RECORD, key, len(names))
    digests, stamps = record.digests, record.stamps
    pictures = [example.picture for example in dataset.examples]
    cached = _array(folder / _ARRAY, preprocessor, len(names), fresh=not any(digests))
    now = [_stamp(picture) for picture in pictures]
    for i, digest in enumerate(digests):
        if digest is not None and now[i] not in (stamps[i], None):
            raise DatasetError(
                f"{names[i]} has changed since it was decoded into {folder}: give a new folder as"
                " --out"
            )
    # A picture that was kept need not be there any more.
    wanted = [i for i, digest in enumerate(digests) if digest is None or cached is None]
    reasons = {i: "not there" for i in wanted if now[i] is None}
    _refuse(reasons, names, allow_missing)
    to_do = [i for i in wanted if digests[i] is None and i not in reasons]
    made_any = False
    with closing(decode_pictures([pictures[i] for i in to_do], preprocessor.prepare)) as decoded:
        for i, made in zip(to_do, decoded, strict=True):
            if isinstance(made, str):
                reasons[i] = made
            else:
                digests[i], stamps[i] = hashlib.sha256(made.tobytes()).hexdigest(), now[i]
                made_any = True
                if cached is not None:
                    cached[i] = made
            advance(1)
    if made_any:
        if isinstance(cached, np.memmap):
            cached.flush()
        with write_whole(folder / _RECORD) as file:
            file.write(json.dumps({"key": key, **asdict(record)}).encode())
    _refuse(reasons, names, allow_missing)
    alike: dict[str, list[int]] = {}
    for i, digest in enumerate(digests):
        if digest is not None and i not in reasons:
            alike.setdefault(digest, []).append(i)
    rows = [same[0] for same in alike.values()]
    examples = [_merged([dataset.examples[i] for i in same]) for same in alike.values()]
    return PreparedPictures(examples, list(alike), rows, preprocessor, cached)


def _merged(same: Sequence[Example]) -> Example:
    captions = dict.fromkeys(caption for example in same for caption in example.captions)
    return Example(same[0].picture, tuple(captions))


@dataclass(frozen=True)
class _Record:
    """What is kept about each picture; None for those that were never decoded."""

    digests: list[str | None]
    """SHA-256 of the prepared pixels."""
    stamps: list[str | None]
    """`DatasetPicture.stamp` when it was decoded."""


def _stamp(picture: DatasetPicture) -> str | None:
    try:
        return picture.stamp()
    except OSError:
        return None


def _recorded(path: Path, key: str, count: int) -> _Record:
    """The record of an earlier call, or an empty one."""
    if not path.exists():
        return _Record([None] * count, [None] * count)
    record = json.loads(path.read_text("utf-8"))
    if record["key"] != key:
        raise DatasetError(
            f"{path.parent} holds other pictures, or these in another size: give the same data to"
            " continue, or a new folder as --out"
        )
    return _Record(record["digests"], record["stamps"])


def _array(
    path: Path, preprocessor: Preprocessor, count: int, fresh: bool
) -> npt.NDArray[np.uint8] | None:
    if not fresh:
        return np.load(path, mmap_mode="r+") if path.exists() else None
    crops = preprocessor.do_center_crop
    shape = (count, *(preprocessor.crop_size if crops else preprocessor.size), 3)
    if np.prod(shape, dtype=float) > min(CACHE_BYTES, shutil.disk_usage(path.parent).free / 2):
        return None
    return np.lib.format.open_memmap(path, "w+", np.uint8, shape)


def _refuse(reasons: dict[int, str], names: Sequence[str], allow_missing: bool) -> None:
    if not reasons or (allow_missing and len(reasons) < len(names)):
        return
    some = ", ".join(f"{names[i]} ({reason})" for i, reason in list(reasons.items())[:3])
    more = f" and {len(reasons) - 3:,} more" if len(reasons) > 3 else ""
    raise DatasetError(
        f"{len(reasons):,} of {len(names):,} pictures cannot be read: {some}{more}; repair them,"
        " or leave them out with --allow-missing"
    )
