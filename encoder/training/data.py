"""What a model is trained on: pictures, prepared once, with several captions each."""

import multiprocessing
import os
import string
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from encoder.preprocess import Preprocessor
from encoder.protocol import Pixels
from encoder.scenes import make_scene

DRAWN_AT = 224
"""Side in pixels at which training scenes are drawn before they are prepared as any picture is."""

NONSENSE = 0.1
"""Share of captions that get one made-up word, so that unknown words come to mean little."""


SHARES = ((0.45, 0.4, 0.15), (0.4, 0.2, 0.4))
"""Of captions that describe their scene fully, that name its things alone, and of all others, in
the first and in the second half of training. Colours and settings tell most scenes apart: only
captions without them teach the shapes. The others are as people ask."""


class PairData(Protocol):
    """n pictures with captions; every method is a pure function of its arguments."""

    def __len__(self) -> int: ...

    def pixels(self, indices: Sequence[int]) -> Pixels:
        """Prepared pictures (b, h, w, 3) uint8."""

    def caption(self, index: int, rng: np.random.Generator, progress: float) -> str:
        """One caption of picture `index`, drawn with `rng` when `progress`, in [0, 1), of the
        training is behind."""


class SceneData:
    """Drawn scenes ``first_seed ... first_seed + count - 1`` with only the seen (colour, kind)
    pairs, their pictures cached as one array file."""

    def __init__(
        self,
        count: int,
        preprocessor: Preprocessor,
        cache: Path,
        first_seed: int = 0,
        advance: Callable[[int], None] = lambda n: None,
    ) -> None:
        self._seeds = range(first_seed, first_seed + count)
        # spawn: a fork of a process that has torch's threads can hang
        with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
            self._captions = pool.map(_describe, self._seeds, chunksize=256)
            if not cache.exists():
                _draw_all(pool, self._seeds, preprocessor, cache, advance)
        self._pixels: npt.NDArray[np.uint8] = np.load(cache, mmap_mode="r")

    def __len__(self) -> int:
        return len(self._seeds)

    def pixels(self, indices: Sequence[int]) -> Pixels:
        pixels: Pixels = self._pixels[np.asarray(indices)]
        return pixels

    def caption(self, index: int, rng: np.random.Generator, progress: float) -> str:
        shares = SHARES[int(2 * progress)]
        sort = rng.choice(len(shares), p=shares)
        captions = self._captions[index][sort]
        return _with_nonsense(captions[rng.integers(len(captions))], rng)

    def all_captions(self) -> Iterator[str]:
        """Every caption of every scene, for the vocabulary."""
        for sorts in self._captions:
            for captions in sorts:
                yield from captions


def _describe(seed: int) -> tuple[tuple[str, ...], ...]:
    """The captions of a training scene in the three sorts of `SHARES`."""
    scene = make_scene(seed, "seen")
    full, *others = scene.captions()
    return (scene.full_caption(), full), (scene.brief_caption(),), tuple(others)


def _with_nonsense(caption: str, rng: np.random.Generator) -> str:
    if rng.random() >= NONSENSE:
        return caption
    letters = rng.choice(list(string.ascii_lowercase), size=rng.integers(3, 9))
    words = caption.split(" ")
    words.insert(int(rng.integers(len(words) + 1)), "".join(letters))
    return " ".join(words)


def _draw_all(
    pool: Pool,
    seeds: range,
    preprocessor: Preprocessor,
    cache: Path,
    advance: Callable[[int], None],
) -> None:
    first = _draw(preprocessor, seeds[0])
    partial = cache.with_suffix(".part")
    pixels = np.lib.format.open_memmap(partial, "w+", np.uint8, (len(seeds), *first.shape))
    jobs = ((preprocessor, seed) for seed in seeds)
    for i, drawn in enumerate(pool.imap(_draw_job, jobs, chunksize=64)):
        pixels[i] = drawn
        advance(1)
    pixels.flush()
    del pixels
    partial.rename(cache)


def _draw(preprocessor: Preprocessor, seed: int) -> Pixels:
    return preprocessor.prepare(make_scene(seed, "seen").draw(DRAWN_AT))


def _draw_job(job: tuple[Preprocessor, int]) -> Pixels:
    return _draw(*job)
