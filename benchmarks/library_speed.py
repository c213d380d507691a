"""How long a library takes to index drawn scenes, to find nothing new, and to answer when warm.

    python benchmarks/library_speed.py [--pictures 2000]

For comparison it also times the least that an answer needs: an embedding and a matrix product.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from encoder import load_encoder
from encoder.scenes import make_scene
from indexer import Library
from retrieval import open_library

FIRST_SEED = 40_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenes = [make_scene(FIRST_SEED + i) for i in range(options.pictures)]
        for i, scene in enumerate(scenes):
            scene.draw().save(folder / f"{i}.jpg", quality=90)
        encoder = load_encoder("align-mini")
        with Library.create(folder) as library:
            report = library.index([folder], lambda: encoder)
            print(f"index: {report.added / report.seconds:.0f} pictures/s")
            report = library.index([folder], lambda: encoder)
            print(f"index, nothing new: {report.seconds:.3f} s")

        vectors = np.random.default_rng(0).normal(size=(options.pictures, encoder.dim))
        matrix = vectors.astype(np.float32)
        texts = [scene.full_caption() for scene in scenes[:200]]
        with open_library(folder) as engine:
            ours = median_ms(lambda text: engine.search(text), texts)
        least = median_ms(lambda text: matrix @ encoder.encode_texts([text])[0], texts)
    print(f"warm search: median {ours:.2f} ms; embedding and matrix product alone {least:.2f} ms")


def median_ms(ask: Callable[[str], object], texts: list[str]) -> float:
    """Median time of `ask` over `texts`, in milliseconds, after one call to warm up."""
    ask(texts[0])
    seconds = []
    for text in texts:
        began = time.perf_counter()
        ask(text)
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds)


if __name__ == "__main__":
    main()
