"""What computes on a processor: OpenVINO where it is installed and agrees, torch, and NumPy for the
first few texts. Each is loaded when it is first used."""

import logging
import sys
import threading
from collections.abc import Callable
from functools import cached_property, partial
from importlib import metadata
from typing import TYPE_CHECKING, cast

import numpy as np

from encoder.backends import openvino_backend
from encoder.backends.batches import cpu_batch, unit
from encoder.backends.first_texts import FirstTexts
from encoder.backends.protocol import Features, Tokens
from encoder.checkpoint import Checkpoint
from encoder.protocol import Pixels
from encoder.remembered import recall, remember
from encoder.scenes import make_scene
from encoder.system import has_bfloat16, processor, watch_forks

if TYPE_CHECKING:
    from encoder.backends.torch_backend import TorchBackend

_log = logging.getLogger(__name__)

FIRST_TOKENS = 256
"""So many are computed in less time than torch takes to be imported."""
CHECKED = 4
"""Pictures that a fast way and the exact one both compute before the fast one is trusted."""
AGREEMENT = 0.9999
"""The least cosine between what both make of a picture."""
EXACT = "float32 on cpu"


class CpuBackend:
    """An `encoder.backends.Backend`."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._lock = threading.Lock()
        self._tokens = 0
        self._way: _Way | None = None
        watch_forks(self)

    def after_fork(self) -> None:
        """Another thread of the parent may have held it."""
        self._lock = threading.Lock()

    @property
    def precision(self) -> str:
        """That of pictures."""
        if self._way is None:
            rules = self._checkpoint.preprocessor
            scenes = [make_scene(seed).draw() for seed in range(CHECKED)]
            with self._lock:
                self._settle(np.stack([rules.prepare(scene) for scene in scenes]))
        return cast(_Way, self._way).name

    @cached_property
    def image_batch(self) -> int:
        return cpu_batch(self._checkpoint)

    def every_way(self) -> list[tuple[str, Callable[[Pixels], Features]]]:
        return [(way.name, way) for way in self._ways()]

    def image_features(self, pixels: Pixels) -> Features:
        if self._way is None:
            with self._lock:
                self._settle(pixels[:CHECKED])
        return cast(_Way, self._way)(pixels)

    def text_features(self, ids: Tokens, mask: Tokens) -> Features:
        self._tokens += ids.size
        is_early = self._tokens <= FIRST_TOKENS and "torch" not in sys.modules
        if is_early and self._first_texts is not None:
            return self._first_texts(ids, mask)
        return self._torch.text_features(ids, mask)

    def _torch_images(self, half: bool) -> Callable[[Pixels], Features]:
        return (self._half_torch if half else self._torch).image_features

    @cached_property
    def _torch(self) -> "TorchBackend":
        return _torch_backend(self._checkpoint, half=False)

    @cached_property
    def _half_torch(self) -> "TorchBackend":
        return _torch_backend(self._checkpoint, half=True)

    @cached_property
    def _first_texts(self) -> FirstTexts | None:
        config = self._checkpoint.config
        return FirstTexts(config, self._checkpoint.weights) if FirstTexts.can(config) else None

    def _settle(self, pixels: Pixels) -> None:
        """Take the fastest way that agrees with torch in float32 on some pictures. That is found
        out once for each model, processor and version of what computes."""
        if self._way is not None:
            return  # another thread was first
        ways = self._ways()
        names = [way.name for way in ways]
        key = (names, self._checkpoint.fingerprint, processor(), *map(_version, _PACKAGES))
        known = recall(*key)
        self._way = next((way for way in ways if way.name == known), None)
        if self._way is None:
            self._way = next(way for way in ways if self._agrees(way, pixels))
            remember(self._way.name, *key)
            if self._way.name != EXACT:
                self.__dict__.pop("_torch", None)  # its picture tower is not needed any more

    def _ways(self) -> list["_Way"]:
        """From the fastest to the exact one."""
        halves = (True, False) if has_bfloat16() else (False,)
        ways = []
        if openvino_backend.is_installed():
            for half in halves:
                make = partial(openvino_backend.OpenVinoImages, self._checkpoint, half)
                ways.append(_Way(f"{_kind(half)} on cpu with OpenVINO", make))
        for half in halves:
            ways.append(_Way(f"{_kind(half)} on cpu", partial(self._torch_images, half)))
        return ways

    def _agrees(self, way: "_Way", pixels: Pixels) -> bool:
        if way.name == EXACT:
            return True
        try:
            found = unit(way(pixels))
        except RuntimeError as error:  # a processor, or a system, that it was not made for
            _log.warning("pictures cannot be computed in %s: %s", way.name, error)
            return False
        wanted = unit(self._torch.image_features(pixels))
        return bool((found * wanted).sum(1).min() >= AGREEMENT)


class _Way:
    """One way to compute features of pictures; it is made when it is first used."""

    def __init__(self, name: str, make: Callable[[], Callable[[Pixels], Features]]) -> None:
        self.name = name
        self._make = make

    def __call__(self, pixels: Pixels) -> Features:
        return self._compute(pixels)

    @cached_property
    def _compute(self) -> Callable[[Pixels], Features]:
        return self._make()


def _torch_backend(checkpoint: Checkpoint, half: bool) -> "TorchBackend":
    import torch

    from encoder.backends.torch_backend import TorchBackend

    return TorchBackend(checkpoint, torch.device("cpu"), half)


def _kind(half: bool) -> str:
    return "bfloat16" if half else "float32"


_PACKAGES = ("torch", "openvino")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
