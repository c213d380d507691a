"""Pictures and texts a second: our encoder compared with the `transformers` implementation.

Both have the same random weights at the full size of align-base.

    python benchmarks/encoder_speed.py [--rounds 5] [--batch 8]

The two take turns, so a machine that becomes slow slows both. The medians and their ratio count.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import transformers

from encoder import AlignConfig, AlignModel, Preprocessor, VisionConfig, load_encoder
from encoder.towers import save
from encoder.training import train_tokenizer

SIDE, TOKENS = 289, 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    options = parser.parse_args()

    words = [f"word{i}" for i in range(TOKENS - 2)]
    tokenizer = train_tokenizer([" ".join(words)] * 2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.manual_seed(0)
        model = AlignModel(AlignConfig(vision_config=VisionConfig(image_size=SIDE)))
        save(folder, model, Preprocessor(size=(SIDE, SIDE)), tokenizer.to_str())
        ours = load_encoder(str(folder), device="cpu")
        peer = transformers.AlignModel.from_pretrained(folder).eval()

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (options.batch, SIDE, SIDE, 3), np.uint8)
    floats = torch.from_numpy(Preprocessor(size=(SIDE, SIDE)).to_floats(pixels)).contiguous()
    texts = [" ".join(words)] * options.batch
    ids = torch.tensor([tokenizer.encode(text).ids for text in texts])

    with torch.inference_mode():
        compare(
            "pictures",
            options,
            lambda: ours.encode_images(list(pixels)),
            lambda: peer.get_image_features(pixel_values=floats),
        )
        compare(
            "texts",
            options,
            lambda: ours.encode_texts(texts),
            lambda: peer.get_text_features(input_ids=ids, attention_mask=torch.ones_like(ids)),
        )


def compare(
    what: str, options: argparse.Namespace, ours: Callable[[], object], peer: Callable[[], object]
) -> None:
    """Print both medians and the ratio; the first round warms up and does not count."""
    seconds: dict[str, list[float]] = {"ours": [], "transformers": []}
    for _ in range(options.rounds + 1):
        for name, work in (("ours", ours), ("transformers", peer)):
            began = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    speeds = ", ".join(f"{name} {options.batch / s:.2f} {what}/s" for name, s in medians.items())
    print(f"{speeds}, ratio {medians['transformers'] / medians['ours']:.2f}")


if __name__ == "__main__":
    main()
