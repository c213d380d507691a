"""What the scores of a model mean for photographs: copies, bursts and answers to questions.

    python benchmarks/scores_of_photographs.py MODEL PHOTOGRAPHS [--labels FOLDER]... [--limit 1000]

It prints JSON lines: the cosines of photographs with changed copies of themselves and with the most
similar other photograph, which near-duplicate threshold tells both apart best, and, with --labels,
the score from which a photograph counts as an answer to the question for its label: one for all
questions, and for comparison one for each. Labels are those of `labelled_folder`.
"""

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance

from encoder import Encoder, load_encoder, read_picture
from encoder.datasets import labelled_folder
from retrieval.defaults import TEMPLATE

QUANTILES = (0.01, 0.05, 0.5, 0.95, 0.99)


def recompressed(quality: int) -> Callable[[Image.Image], Image.Image]:
    def change(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file).convert("RGB")

    return change


def scaled(share: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.resize(
        (max(1, round(image.width * share)), max(1, round(image.height * share)))
    )


def cropped(
    left: float, top: float, right: float, bottom: float
) -> Callable[[Image.Image], Image.Image]:
    """Cut off these shares of the sides."""
    return lambda image: image.crop(
        (
            round(image.width * left),
            round(image.height * top),
            round(image.width * (1 - right)),
            round(image.height * (1 - bottom)),
        )
    )


def exposed(factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: ImageEnhance.Brightness(image).enhance(factor)


CHANGES = {
    "JPEG quality 50": recompressed(50),
    "JPEG quality 20": recompressed(20),
    "half the size": scaled(0.5),
    "a third of the size": scaled(1 / 3),
    "brighter by 10 %": exposed(1.1),
    "cropped by 5 %": cropped(0.025, 0.025, 0.025, 0.025),
}
COPIES = tuple(CHANGES)[:4]
"""These are copies of a picture; the threshold shall find them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--labels", type=Path, action="append", default=[])
    parser.add_argument("--limit", type=int, default=1000)
    options = parser.parse_args()

    encoder = load_encoder(options.model)
    paths = sorted(
        p for p in options.photographs.rglob("*") if p.suffix.lower() in (".jpg", ".png")
    )
    images = [read_picture(path).image for path in paths[: options.limit]]
    duplicates(encoder, images)
    if options.labels:
        answers(encoder, options.labels)


def duplicates(encoder: Encoder, images: list[Image.Image]) -> None:
    rows = encoder.encode_images(images)
    cosines = {
        name: (rows * encoder.encode_images([change(image) for image in images])).sum(1)
        for name, change in CHANGES.items()
    }
    # Two frames of a burst: the camera has moved by a twentieth of the picture.
    first, second = cropped(0, 0, 0.05, 0.02), cropped(0.05, 0.02, 0, 0)
    cosines["frames of a burst"] = (
        encoder.encode_images([first(image) for image in images])
        * encoder.encode_images([second(image) for image in images])
    ).sum(1)
    among = rows @ rows.T
    np.fill_diagonal(among, -1)
    cosines["the most similar other"] = among.max(1)
    for name, values in cosines.items():
        shown = {str(q): round(float(np.quantile(values, q)), 4) for q in QUANTILES}
        print(json.dumps({"pictures": len(images), "change": name, **shown}), flush=True)
    copies = np.concatenate([cosines[name] for name in COPIES])
    for threshold in (0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99):
        said = {
            "threshold": threshold,
            "copies found": round(float((copies >= threshold).mean()), 4),
            "others taken for copies": round(float((among.max(1) >= threshold).mean()), 4),
        }
        print(json.dumps(said), flush=True)


def answers(encoder: Encoder, folders: list[Path]) -> None:
    examples = [e for folder in folders for e in labelled_folder(folder).examples]
    pictures = encoder.encode_images([example.picture.open() for example in examples])
    labels = sorted({example.captions[0] for example in examples})
    texts = encoder.encode_texts([TEMPLATE.replace("{}", label) for label in labels])
    scores = pictures @ texts.T
    right = np.array([[e.captions[0] == label for label in labels] for e in examples])
    cuts = np.unique(np.quantile(scores, np.linspace(0.5, 0.9999, 500)))
    each = np.stack([_f1(scores, right, cut) for cut in cuts])  # (cuts, labels)
    best = int(each.mean(1).argmax())
    own = np.sort(scores[right])
    said = {
        "labels": len(labels),
        "pictures": len(examples),
        "best cut-off": round(float(cuts[best]), 3),
        "its F1": round(float(each[best].mean()), 3),
        "F1 with a cut-off for each question": round(float(each.max(0).mean()), 3),
        "scores of right answers, 10 50 90 %": [
            round(float(np.quantile(own, q)), 3) for q in (0.1, 0.5, 0.9)
        ],
        "scores of wrong answers, 50 90 99 %": [
            round(float(np.quantile(scores[~right], q)), 3) for q in (0.5, 0.9, 0.99)
        ],
    }
    print(json.dumps(said), flush=True)


def _f1(
    scores: npt.NDArray[np.float32], right: npt.NDArray[np.bool_], cut: float
) -> npt.NDArray[np.float64]:
    """F1 of each column, if what has at least this score is the answer."""
    found = scores >= cut
    both = (found & right).sum(0)
    values: npt.NDArray[np.float64] = 2 * both / np.maximum(1, found.sum(0) + right.sum(0))
    return values


if __name__ == "__main__":
    main()
