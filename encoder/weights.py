"""The safetensors files of a checkpoint: one, or the shards that an index names.

Nothing is read before it is asked for, and only what is asked for. Importing this loads no torch.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from encoder.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_FLOATS = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}
"""Types of safetensors as NumPy reads them."""
_PICKLES = ("pytorch_model.bin", "model.bin", "model.pt", "model.pth", "model.ckpt")


@dataclass(frozen=True)
class Weights:
    """Tensors by name, in any float type; read as float32."""

    files: tuple[Path, ...]
    stamp: tuple[tuple[str, int, int], ...]
    """Path, size in bytes and time of change in nanoseconds of each file."""

    @classmethod
    def stamped(cls, files: tuple[Path, ...]) -> Self:
        """The weights as these files are now."""
        return cls(files, _stamp(files))

    @classmethod
    def of(cls, directory: Path) -> Self:
        """The weights in a folder; CheckpointError where there are none, or not all of them."""
        if (directory / WEIGHTS).is_file():
            return cls.stamped((directory / WEIGHTS,))
        if (directory / INDEX).is_file():
            files = cls.shards(directory / INDEX)
            lacking = [file.name for file in files if not file.is_file()]
            if lacking:
                raise CheckpointError(
                    f"{directory} has no {lacking[0]}, which its {INDEX} names: the download or the"
                    " copy was interrupted; get that file, too"
                )
            return cls.stamped(files)
        pickled = [name for name in _PICKLES if (directory / name).exists()]
        if pickled:
            raise CheckpointError(
                f"{directory} has only {pickled[0]}, a pickle; pickles can run any code and are"
                f" never loaded: convert it to {WEIGHTS} with the safetensors package"
            )
        raise CheckpointError(f"{directory} is not a checkpoint: it has no {WEIGHTS}")

    @staticmethod
    def shards(index: Path) -> tuple[Path, ...]:
        """The files that an index names; CheckpointError if it is no index."""
        try:
            names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
            if not names or any(Path(name).name != name for name in names):
                raise ValueError("a shard is a file in the same folder")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{index} is not an index of shards: {error!r}") from error
        return tuple(index.with_name(name) for name in names)

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of every tensor; CheckpointError names a file that cannot be read."""
        return {
            name: tuple(file.get_slice(name).get_shape())
            for file in self._opened("numpy")
            for name in file.offset_keys()
        }

    def arrays(self, *starts: str) -> dict[str, npt.NDArray[np.float32]]:
        """The same as NumPy arrays, which must not be written to. Loads no torch."""
        self._require_unchanged()
        found: dict[str, npt.NDArray[np.float32]] = {}
        for path in self.files:
            size = int.from_bytes(np.fromfile(path, np.uint8, 8).tobytes(), "little")
            header = json.loads(np.fromfile(path, np.uint8, size, offset=8).tobytes())
            whole = np.memmap(path, np.uint8, "r", offset=8 + size)
            for name, about in header.items():
                if name.startswith(starts) and about.get("dtype") in _FLOATS:
                    begin, end = about["data_offsets"]
                    kept = whole[begin:end].view(_FLOATS[about["dtype"]])
                    if about["dtype"] == "BF16":  # the first half of a float32
                        kept = (kept.astype(np.uint32) << 16).view(np.float32)
                    array = np.asarray(kept, np.float32).reshape(about["shape"])
                    found[name] = array
        return found

    def _require_unchanged(self) -> None:
        if _stamp(self.files) != self.stamp:
            raise CheckpointError(f"{self.files[0]} changed while it was in use: start again")

    def read(self, *starts: str) -> dict[str, "Tensor"]:
        """The tensors whose names begin with one of `starts`, as float32 where they are floats.
        Those that are float32 in the file stay there until they are used. CheckpointError if the
        files are not as they were."""
        self._require_unchanged()
        found = {
            name: file.get_tensor(name)
            for file in self._opened("pt")
            for name in file.offset_keys()
            if name.startswith(starts)
        }
        return {n: t.float() if t.is_floating_point() else t for n, t in found.items()}

    def _opened(self, framework: str) -> Iterator[Any]:
        from safetensors import SafetensorError, safe_open

        for path in self.files:
            try:
                with safe_open(path, framework) as file:
                    yield file
            except (SafetensorError, OSError) as error:
                raise CheckpointError(f"{path} cannot be read as safetensors: {error}") from error


def _stamp(files: tuple[Path, ...]) -> tuple[tuple[str, int, int], ...]:
    stats = [(file.resolve(), file.stat()) for file in files]
    return tuple((str(path), stat.st_size, stat.st_mtime_ns) for path, stat in stats)
