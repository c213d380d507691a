"""Training in several processes that torchrun started: their ranks, and what they exchange."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from encoder.backends import choose_device
from encoder.errors import EncoderError

PATIENCE = timedelta(hours=12)
"""How long processes wait for the first one, which prepares pictures and evaluates alone."""


@dataclass(frozen=True)
class World:
    """All processes of one training run; a single process is a world of size 1."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes, evaluates and reports."""
        return self.rank == 0

    def gather(self, rows: Tensor) -> Tensor:
        """The (n, d) rows of all processes, in the order of their ranks; (size * n, d), without
        gradient."""
        if self.size == 1:
            return rows
        parts = [torch.empty_like(rows) for _ in range(self.size)]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace every tensor by its mean over all processes."""
        if self.size > 1 and tensors:
            flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
            dist.all_reduce(flat)
            flat /= self.size
            means = torch.split(flat, [tensor.numel() for tensor in tensors])
            for tensor, mean in zip(tensors, means, strict=True):
                tensor.copy_(mean.view_as(tensor))

    def wait(self) -> None:
        """Wait until all processes have called this."""
        if self.size > 1:
            try:
                dist.barrier()
            except RuntimeError as error:
                raise EncoderError(
                    "another process of this training run has ended: see its output"
                ) from error

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """The first process runs the block, then the others do."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()


@contextmanager
def join(device: str) -> Iterator[tuple[World, torch.device]]:
    """The world that torchrun's environment variables describe (RANK, WORLD_SIZE, LOCAL_RANK,
    MASTER_ADDR, MASTER_PORT), and this process's device; with several GPUs, each process has its
    own. `device` is a name for `choose_device`; EncoderError if it is not there."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    chosen = torch.device(choose_device(device))
    if size == 1:
        yield World(), chosen
        return
    if chosen.type == "cuda":
        chosen = torch.device(choose_device(f"cuda:{os.environ['LOCAL_RANK']}"))
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield World(dist.get_rank(), size), chosen
    finally:
        dist.destroy_process_group()
