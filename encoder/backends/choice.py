"""Which device and which backend compute embeddings."""

import platform
import sys
from pathlib import Path

from encoder.backends.cpu_backend import CpuBackend
from encoder.backends.protocol import Backend
from encoder.checkpoint import Checkpoint
from encoder.errors import EncoderError


def choose_device(name: str) -> str:
    """The device named `auto`, `cpu`, `mps`, `cuda` or `cuda:N`; EncoderError if it is not there.
    ``auto`` is CUDA or mps where there is one, else the CPU. Loads torch only if it must."""
    if name == "cpu" or (name == "auto" and not _may_accelerate()):
        return "cpu"
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=name).cpu()
    except (RuntimeError, AssertionError) as error:  # AssertionError: this torch has no CUDA
        raise EncoderError(
            f"there is no device {name!r} here: use --device auto, cpu, cuda or mps"
        ) from error
    return name


def choose(checkpoint: Checkpoint, device: str) -> Backend:
    """What computes fastest on `device`, a name that `choose_device` returned."""
    if device == "cpu":
        return CpuBackend(checkpoint)
    import torch

    from encoder.backends.torch_backend import TorchBackend

    return TorchBackend(checkpoint, torch.device(device))


def _may_accelerate() -> bool:
    """Whether there may be an accelerator that torch can use, without loading torch."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    return any(any(Path("/dev").glob(name)) for name in _DEVICES)


_DEVICES = ("nvidia*", "nvhost*", "nvgpu*", "dxg", "kfd")
"""What drivers make on Linux: NVIDIA's, those of its small boards, of Windows' subsystem, AMD's."""
