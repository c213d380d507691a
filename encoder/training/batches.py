"""The batches of a training run, made ahead of the steps that need them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import cast

import numpy as np
import numpy.typing as npt

from encoder.protocol import Pixels
from encoder.read_ahead import ahead
from encoder.system import processors
from encoder.training.data import Maps, PairData, States
from encoder.training.distributed import World
from encoder.training.settings import TrainingSettings

AHEAD = 2
"""Batches that are made while the model is trained on one."""

Tokens = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


Read = Callable[[Sequence[str]], Tokens | States]
"""A tokenizer, or `kept.KeptTexts`."""


@dataclass(frozen=True)
class Part:
    """One micro-batch of pairs: texts, and the pictures or other texts that belong to them."""

    number: int
    """Its place in the whole batch, over all processes."""
    indices: tuple[int, ...]
    """Of the pairs of the first data, in the order of the part."""
    texts: Tokens | States
    """Ids and mask, (b * captions, t) int64, or states of texts; those of one pair follow each
    other."""
    others: Tokens | States | Pixels | Maps
    """Texts as above, or views: (b, h, w, 3) uint8 or (b, h, w, c) float16."""


def batches(
    data: PairData,
    read: Read,
    settings: TrainingSettings,
    start: int,
    world: World,
    second: PairData | None = None,
) -> Iterator[list[Part]]:
    """This process's share of every batch from step `start` on, in micro-batches of pairs of `data`
    and, as `settings.sources` says, of `second`.

    The caption and view of a picture are drawn from (seed, epoch, its index) alone, so neither an
    interruption nor the number of processes changes them.
    """
    share = settings.batch_size // world.size
    parts = settings.parts(world.size)
    places = settings.sources()
    sizes = [places.count(0), places.count(1)]

    def jobs() -> Iterator[tuple[int, int, PairData, int, int, int]]:
        for step in range(start, settings.steps):
            drawn: list[tuple[int, PairData, int, Iterator[int]]] = []
            for n, source in enumerate((data, second)):
                if source is not None and sizes[n]:
                    seed, epoch = settings.seed + n, step // (len(source) // sizes[n])
                    indices = batch_indices(len(source), sizes[n], seed, step)
                    drawn.append((seed, source, epoch, iter(indices)))
            for place, n in enumerate(places):
                seed, source, epoch, left = drawn[n]
                index = next(left)
                if place // share == world.rank:
                    yield n, seed, source, step, epoch, index

    def pair(job: tuple[int, int, PairData, int, int, int]) -> _Pair:
        n, seed, data, step, epoch, index = job
        rng = np.random.default_rng((seed, epoch, index))
        progress = step / settings.steps
        captions = [data.caption(index, rng, progress) for _ in range(settings.captions)]
        if step < settings.paraphrase_steps:
            return n, index, captions, data.caption(index, rng, progress)
        return n, index, captions, data.view(index, " ".join(captions), rng)

    size = share // parts
    with closing(ahead(pair, jobs(), AHEAD * share, max(1, processors() // world.size))) as pairs:
        while batch := list(islice(pairs, share)):
            yield [
                _part(world.rank * parts + i, batch[i * size : (i + 1) * size], read)
                for i in range(parts)
            ]


_Pair = tuple[int, int, Sequence[str], str | Pixels | Maps]
"""The number of the data, the index in it, some texts, and what belongs to them."""


def _part(number: int, pairs: Sequence[_Pair], read: Read) -> Part:
    indices = tuple(index for source, index, _, _ in pairs if source == 0)
    captions = [caption for _, _, some, _ in pairs for caption in some]
    texts = [other for *_, other in pairs if isinstance(other, str)]
    views = [other for *_, other in pairs if not isinstance(other, str)]
    others = read(texts) if texts else cast(Pixels | Maps, np.stack(views))
    return Part(number, indices, read(captions), others)


def batch_indices(count: int, size: int, seed: int, step: int) -> list[int]:
    """Indices of one batch. Every epoch is a new permutation without its incomplete last batch."""
    epoch, place = divmod(step, count // size)
    chosen: list[int] = _order(count, seed, epoch)[place * size : (place + 1) * size].tolist()
    return chosen


@lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    """A permutation; that of ten million takes half a second, so each is drawn once."""
    return np.random.default_rng((seed, 1_000_003, epoch)).permutation(count)
