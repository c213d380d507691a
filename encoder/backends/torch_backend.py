"""The towers in torch, on the CPU or on an accelerator."""

import ctypes
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from encoder.backends.batches import cpu_batch
from encoder.backends.protocol import Features, Tokens
from encoder.checkpoint import Checkpoint
from encoder.model.bert import Bert
from encoder.model.efficientnet import EfficientNet, channels_last, fold_batch_norms
from encoder.protocol import Pixels
from encoder.system import one_thread_after_fork, processors
from encoder.towers import read_image_tower, read_text_tower

one_thread_after_fork(torch.set_num_threads)

ModuleT = TypeVar("ModuleT", bound=nn.Module)

_LARGEST = 32 << 20
"""The largest piece of memory, in bytes, that glibc can be told to use again."""
_KEPT = 512 << 20
"""Bytes of free memory that are not given back."""
_ON_DEVICE = 64
"""Pictures at once on an accelerator."""


class TorchBackend:
    """An `encoder.backends.Backend`.

    Norms are folded into the convolutions; pictures lie in memory as (b, h, w, c). With `half` it
    computes in bfloat16 (autocast), by default on CUDA.
    """

    def __init__(
        self, checkpoint: Checkpoint, device: torch.device, half: bool | None = None
    ) -> None:
        self.device = device
        self._checkpoint = checkpoint
        self._half = device.type == "cuda" if half is None else half
        self.precision = f"{'bfloat16' if self._half else 'float32'} on {device.type}"
        if device.type == "cpu":
            torch.set_num_threads(min(torch.get_num_threads(), processors()))
            keep_memory()

    @cached_property
    def image_batch(self) -> int:
        on_cpu = cpu_batch(self._checkpoint)
        return on_cpu if self.device.type == "cpu" or on_cpu == 1 else _ON_DEVICE

    def every_way(self) -> list[tuple[str, Callable[[Pixels], Features]]]:
        return [(self.precision, self.image_features)]

    def image_features(self, pixels: Pixels) -> Features:
        with torch.inference_mode(), self._autocast():
            return _numpy(self._image_tower(self._floats(pixels)))

    def text_features(self, ids: Tokens, mask: Tokens) -> Features:
        tower, projection = self._text_tower
        on_device = (torch.from_numpy(x).to(self.device) for x in (ids, mask))
        with torch.inference_mode(), self._autocast():
            return _numpy(projection(tower(*on_device, first_only=True)[:, 0]))

    @cached_property
    def _image_tower(self) -> EfficientNet:
        tower = read_image_tower(self._checkpoint.config, self._checkpoint.weights)
        fold_batch_norms(tower)
        for part in tower.modules():
            if hasattr(part, "inplace"):  # an activation; nothing else needs what it was made from
                cast(Any, part).inplace = True
        return channels_last(self._cast(tower))

    @cached_property
    def _text_tower(self) -> tuple[Bert, nn.Linear]:
        tower, projection = read_text_tower(self._checkpoint.config, self._checkpoint.weights)
        return self._cast(tower), self._cast(projection)

    def _cast(self, module: ModuleT) -> ModuleT:
        """The module on the device. Weights that autocast would cast for every batch are cast."""
        if self._half:
            for part in module.modules():
                filters = isinstance(part, nn.Conv2d) and part.groups == 1
                if filters or isinstance(part, nn.Linear):
                    part.to(torch.bfloat16)
        return module.to(self.device)

    def _floats(self, pixels: Pixels) -> Tensor:
        """As `Preprocessor.to_floats`, on the device, to which bytes are sent and not floats."""
        rules = self._checkpoint.preprocessor
        given = torch.from_numpy(pixels)
        if self.device.type == "cuda":
            given = given.pin_memory().to(self.device, non_blocking=True)
        x = given.to(self.device).float()
        mean = torch.tensor(rules.image_mean, device=self.device)
        std = torch.tensor(rules.image_std, device=self.device)
        if rules.do_rescale:
            x *= rules.rescale_factor
            if rules.rescale_offset:
                x -= 1
        if rules.do_normalize:
            x = (x - mean) / std
        if rules.include_top:
            x /= std
        return x.permute(0, 3, 1, 2)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._half)


def keep_memory() -> None:
    """Tell the C library to use the memory of one layer for the next, within bounds.

    By default glibc gives large pieces back to the system at once, and half of the time of a batch
    goes to the page faults of the next ones.
    """
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # musl has no such function
            libc = ctypes.CDLL(None)
            libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST)
            libc.mallopt(_M_TRIM_THRESHOLD, _KEPT)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""From glibc's malloc.h."""


def _numpy(features: Tensor) -> Features:
    return features.float().cpu().numpy()
