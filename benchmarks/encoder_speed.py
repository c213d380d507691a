"""How fast pictures and texts are embedded on a processor, beside transformers with these weights.

    python benchmarks/encoder_speed.py [--model MODEL] [--captions 500] [--rounds 5]

By default the model has random weights in the sizes of align-base. Each contestant is a process of
its own, because each changes what the others would find: torch's threads, the allocator of memory.
They take turns, so a machine that becomes slow slows all. The best size of batches counts. Pictures
are decoded before. Prints JSON lines, then what they mean.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np

PICTURES = 8
BATCHES = (1, 4, 8)

Work = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="a folder or a bundled name")
    parser.add_argument("--captions", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        serve(CONTESTANTS[options.contestant](options.model, options.captions))
        return
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or large_model(Path(folder))
        report(model, measured(model, options), options.captions)


def large_model(folder: Path) -> str:
    """Random weights in the sizes of align-base; they are as fast as the real ones."""
    import torch
    from torch import nn

    from encoder.towers import save
    from encoder.training import from_scratch
    from encoder.training.starts import BASE_PREPROCESSOR

    start = from_scratch(captions(500), folder, "base")
    norms = [m for m in start.model.vision_model.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:  # else embeddings would be rounding errors
        norm.reset_running_stats()
        norm.momentum = None
    pixels = np.stack(noise(4, BASE_PREPROCESSOR.prepare))
    with torch.no_grad():
        start.model.train().get_image_features(
            torch.from_numpy(BASE_PREPROCESSOR.to_floats(pixels)).contiguous()
        )
    save(folder, start.model, BASE_PREPROCESSOR, start.tokenizer_json)
    return str(folder)


def captions(count: int) -> list[str]:
    """Of drawn scenes, as long as those that people write."""
    from encoder.scenes import make_scene

    found: list[str] = []
    seed = 0
    while len(found) < count:
        found += make_scene(seed).captions()
        seed += 1
    return found[:count]


def measured(model: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One line for each contestant and piece of work, with all repetitions."""
    rest = ["--model", model, "--captions", str(options.captions)]
    processes = {
        name: subprocess.Popen(
            [sys.executable, __file__, "--contestant", name, *rest],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in CONTESTANTS
    }
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for number in range(options.rounds + 1):
        for name, process in processes.items():
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            for what, (wall, processor, items) in json.loads(process.stdout.readline()).items():
                line = lines.setdefault(
                    (name, what),
                    {"contestant": name, "what": what, "items": items, "wall_s": [], "cpu_s": []},
                )
                if number:  # the first round warms up
                    line["wall_s"].append(round(wall, 4))
                    line["cpu_s"].append(round(processor, 4))
    for process in processes.values():
        process.communicate()
    for line in lines.values():
        print(json.dumps(line), flush=True)
    return list(lines.values())


def serve(works: dict[str, tuple[int, Work]]) -> None:
    """Do every piece of work once for each line of stdin."""
    for _ in sys.stdin:
        found = {}
        for what, (items, work) in works.items():
            wall, processor = perf_counter(), process_time()
            work()
            found[what] = (perf_counter() - wall, process_time() - processor, items)
        print(json.dumps(found), flush=True)


def ours(model: str, count: int) -> dict[str, tuple[int, Work]]:
    from encoder import load_encoder

    encoder = load_encoder(model, device="cpu")
    pixels = list(noise(PICTURES, encoder.prepare))
    texts = captions(count)
    return {
        "pictures": (PICTURES, lambda: encoder.encode_images(pixels)),
        "texts": (count, lambda: encoder.encode_texts(texts)),
    }


def ours_without_extras(model: str, count: int) -> dict[str, tuple[int, Work]]:
    from encoder.backends import openvino_backend

    openvino_backend.is_installed = lambda: False
    return {what: work for what, work in ours(model, count).items() if what == "pictures"}


def transformers(model: str, count: int) -> dict[str, tuple[int, Work]]:
    import torch
    from transformers import AlignModel, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    from encoder.bundled import BUNDLED
    from encoder.preprocess import Preprocessor

    disable_progress_bar()
    set_verbosity_error()
    folder = BUNDLED.get(model, Path(model))
    peer = AlignModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rules = Preprocessor.of(folder)
    pixels = np.stack(noise(PICTURES, rules.prepare))
    floats = torch.from_numpy(rules.to_floats(pixels)).contiguous()
    texts = captions(count)

    def pictures(batch: int) -> None:
        with torch.inference_mode():
            for start in range(0, PICTURES, batch):
                peer.get_image_features(pixel_values=floats[start : start + batch])

    def embed(padding: str | bool) -> None:
        with torch.inference_mode():
            for start in range(0, count, 32):
                some = texts[start : start + 32]
                options = {"truncation": True, "max_length": 64, "return_tensors": "pt"}
                peer.get_text_features(**tokenizer(some, padding=padding, **options))

    works: dict[str, tuple[int, Work]] = {
        f"pictures, batches of {batch}": (PICTURES, lambda batch=batch: pictures(batch))
        for batch in BATCHES
    }
    works["texts, padded to 64"] = (count, lambda: embed("max_length"))
    works["texts, padded to the longest"] = (count, lambda: embed(True))
    return works


def noise(count: int, prepare: Callable[[Any], Any]) -> list[Any]:
    from PIL import Image

    rng = np.random.default_rng(0)
    made = (rng.integers(0, 256, (300, 400, 3), np.uint8) for _ in range(count))
    return [prepare(Image.fromarray(one)) for one in made]


CONTESTANTS: dict[str, Callable[[str, int], dict[str, tuple[int, Work]]]] = {
    "ours": ours,
    "ours without the extra cpu": ours_without_extras,
    "transformers": transformers,
}


def report(model: str, lines: list[dict[str, Any]], count: int) -> None:
    """The ratios that docs/performance.md promises."""
    from encoder.system import has_bfloat16, processor

    each = {
        (line["contestant"], line["what"]): median(line["wall_s"]) / line["items"] for line in lines
    }
    peer = min(s for (who, what), s in each.items() if who == "transformers" and "pict" in what)
    units = "with" if has_bfloat16() else "without"
    print(f"{model} on {processor()}, {units} units for bfloat16")
    mine, plain = each["ours", "pictures"], each["ours without the extra cpu", "pictures"]
    texts = each["ours", "texts"]
    longest = each["transformers", "texts, padded to the longest"]
    rows = [
        ("pictures", mine, peer, 2.5 if has_bfloat16() else 1.3),
        ("pictures without the extra cpu", plain, peer, 1.7 if has_bfloat16() else 1.3),
        ("texts, padded to 64", texts, each["transformers", "texts, padded to 64"], 2.5),
        ("texts, padded to the longest", texts, longest, 1.2),
    ]
    print(f"{'':32}{'ours':>10}{'transformers':>14}{'ratio':>7}{'target':>8}")
    for what, mine, theirs, target in rows:
        verdict = "" if theirs / mine >= target else "  falls short"
        print(
            f"{what:32}{1000 * mine:7.1f} ms{1000 * theirs:11.1f} ms{theirs / mine:7.2f}"
            f"{target:8.1f}{verdict}"
        )


if __name__ == "__main__":
    main()
