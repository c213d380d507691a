"""What computes on a processor: OpenVINO where it is installed and agrees, torch, and NumPy for the
first few texts. Each is loaded when it is first used."""

import logging
import sys
import threading
from functools import cached_property
from typing import TYPE_CHECKING

from encoder.backends import openvino_backend
from encoder.backends.batches import cpu_batch, unit
from encoder.backends.first_texts import FirstTexts
from encoder.backends.protocol import Features, Tokens
from encoder.checkpoint import Checkpoint
from encoder.protocol import Pixels
from encoder.remembered import recall, remember

if TYPE_CHECKING:
    from encoder.backends.torch_backend import TorchBackend

_log = logging.getLogger(__name__)

FIRST_TOKENS = 256
"""So many are computed in less time than torch takes to be imported."""
CHECKED = 4
"""Pictures that OpenVINO and torch both compute before the first of them is trusted."""
AGREEMENT = 0.9999
"""The least cosine between what both make of a picture."""


class CpuBackend:
    """An `encoder.backends.Backend`."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._lock = threading.Lock()
        self._tokens = 0
        self._openvino: openvino_backend.OpenVinoImages | None = None
        self._is_checked = False
        if openvino_backend.is_installed():
            self._openvino = openvino_backend.OpenVinoImages(checkpoint)

    @property
    def precision(self) -> str:
        """That of pictures."""
        if self._openvino is not None:
            return f"{self._openvino.precision} on cpu with OpenVINO"
        return self._torch.precision

    @cached_property
    def image_batch(self) -> int:
        return cpu_batch(self._checkpoint)

    def image_features(self, pixels: Pixels) -> Features:
        fast = self._openvino
        if fast is None:
            return self._torch.image_features(pixels)
        if not self._is_checked:
            with self._lock:
                if not self._is_checked:
                    self._check(fast, pixels[:CHECKED])
        return self._torch.image_features(pixels) if self._openvino is None else fast(pixels)

    def text_features(self, ids: Tokens, mask: Tokens) -> Features:
        self._tokens += ids.size
        is_early = self._tokens <= FIRST_TOKENS and "torch" not in sys.modules
        if is_early and self._first_texts is not None:
            return self._first_texts(ids, mask)
        return self._torch.text_features(ids, mask)

    @cached_property
    def _torch(self) -> "TorchBackend":
        import torch

        from encoder.backends.torch_backend import TorchBackend

        return TorchBackend(self._checkpoint, torch.device("cpu"))

    @cached_property
    def _first_texts(self) -> FirstTexts | None:
        config = self._checkpoint.config
        return FirstTexts(config, self._checkpoint.weights) if FirstTexts.can(config) else None

    def _check(self, fast: openvino_backend.OpenVinoImages, pixels: Pixels) -> None:
        """Compare OpenVINO with torch on the first pictures that there are, once for each model,
        version and processor."""
        key = ("openvino", self._checkpoint.fingerprint, fast.version, fast.precision)
        cosine = recall(*key)
        if cosine is None:
            pairs = zip(*(unit(f(pixels)) for f in (fast, self._torch.image_features)), strict=True)
            cosine = min(float(one @ other) for one, other in pairs)
            remember(cosine, *key)
        if not cosine >= AGREEMENT:
            _log.warning(
                "OpenVINO's embeddings agree with torch's to a cosine of %.5f only: torch is used",
                cosine,
            )
            self._openvino = None
        self._is_checked = True
