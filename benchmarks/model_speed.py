"""How much faster one model is than another: pictures a second and milliseconds a question.

    python benchmarks/model_speed.py MODEL [--beside OTHER] [--rounds 5]

By default the other is align-base: random weights in its sizes, which are as fast as the real ones.
The two take turns, so a machine that becomes slow slows both. Each is measured at several sizes of
batch, and its best one counts. Decoding is not in it, the towers are.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from encoder import Encoder, load_encoder
from encoder.towers import save
from encoder.training import from_scratch

BATCHES = (1, 4, 8, 16, 32)
QUESTIONS = ("a dog on the beach", "two people at a table", "snow", "a red car in the city")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--beside")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    encoders = {options.model: load_encoder(options.model, device="cpu")}
    if options.beside:
        encoders[options.beside] = load_encoder(options.beside, device="cpu")
    else:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            start = from_scratch(QUESTIONS, folder, "base")
            save(folder, start.model, start.preprocessor, start.tokenizer_json)
            encoders["align-base"] = load_encoder(str(folder), device="cpu")

    fastest: dict[str, float] = {}
    for batch in BATCHES:
        seconds = measured({n: pictures(e, batch) for n, e in encoders.items()}, options.rounds)
        for name, values in seconds.items():
            speed = batch / statistics.median(values)
            fastest[name] = max(fastest.get(name, 0.0), speed)
            print(json.dumps({"model": name, "batch": batch, "pictures/s": round(speed, 2)}))
    seconds = measured({n: questions(e) for n, e in encoders.items()}, options.rounds)
    asked = {
        name: 1000 * statistics.median(values) / len(QUESTIONS) for name, values in seconds.items()
    }
    ours, other = encoders
    print(
        json.dumps(
            {
                "best pictures/s": {name: round(speed, 2) for name, speed in fastest.items()},
                "pictures, times as fast": round(fastest[ours] / fastest[other], 1),
                "ms a question": {name: round(ms, 2) for name, ms in asked.items()},
                "questions, times as fast": round(asked[other] / asked[ours], 1),
            }
        )
    )


def pictures(encoder: Encoder, batch: int) -> Callable[[], object]:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (300, 400, 3), np.uint8) for _ in range(batch)]
    prepared = [encoder.prepare(image) for image in map(Image.fromarray, noise)]
    return lambda: encoder.encode_images(prepared)


def questions(encoder: Encoder) -> Callable[[], object]:
    """Each is embedded alone, as `align search` does."""
    return lambda: [encoder.encode_texts([question]) for question in QUESTIONS]


def measured(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each round; one more warms up and does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            if number:
                seconds[name].append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    main()
