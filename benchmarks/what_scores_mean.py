"""What the scores of a model mean: copies, bursts and answers to questions.

    python benchmarks/what_scores_mean.py align-small --annotations FILE --images FOLDER --split val
    python benchmarks/what_scores_mean.py align-mini

It takes the first --limit photographs of a split, or drawn scenes, and prints JSON lines: the
cosines of pictures with changed copies of themselves and with the most similar other picture, and
how well each near-duplicate threshold tells both apart. Then it asks 30 questions of one or two
words, or for each kind of thing that scenes show. A picture is a right answer if two of its
captions use the word. It prints the best cut-off for all questions, and for comparison what one
cut-off for each question would reach.
"""

import argparse
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance

from encoder import Encoder, load_encoder
from encoder.datasets import Example, open_dataset
from encoder.scenes import KINDS
from encoder.scenes.captions import article

Rows = npt.NDArray[np.float32]

QUANTILES = (0.01, 0.05, 0.5, 0.95, 0.99)
THRESHOLDS = (0.8, 0.85, 0.88, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99)


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

QUESTIONS = {
    "a baby": "baby|babie",
    "a ball": "ball",
    "baseball": "baseball",
    "basketball": "basketball",
    "a beach": "beach",
    "a bench": "bench",
    "a bicycle": "bicycle|bike",
    "a boat": "boat|canoe|kayak",
    "a car": "car",
    "climbing": "climb|climbs|climbing",
    "a crowd": "crowd",
    "a dog": "dog",
    "a football player": "football",
    "a frisbee": "frisbee",
    "grass": "grass|grassy",
    "a hat": "hat",
    "a mountain": "mountain",
    "the ocean": "ocean|sea",
    "a playground": "playground",
    "a swimming pool": "pool",
    "a rock": "rock",
    "running": "run|runs|running",
    "a skateboard": "skateboard|skateboarder",
    "snow": "snow|snowy",
    "soccer": "soccer",
    "a street": "street",
    "swimming": "swim|swims|swimming",
    "tennis": "tennis",
    "water": "water",
    "a woman": "woman",
}
"""Questions, and the words for what they ask; a plural in s counts, too."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--annotations", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--limit", type=int, default=1000)
    options = parser.parse_args()

    examples = open_dataset(
        "custom" if options.annotations else "scenes",
        annotations=options.annotations,
        images=options.images,
        split=options.split,
        limit=options.limit,
    ).examples
    encoder = load_encoder(options.model)
    images = [example.picture.open() for example in examples]
    rows = encoder.encode_images(images)
    duplicates(encoder, images, rows)
    drawn = {article(kind): kind for kind in KINDS}
    answers(encoder, examples, rows, QUESTIONS if options.annotations else drawn)


def duplicates(encoder: Encoder, images: list[Image.Image], rows: Rows) -> None:
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
    for threshold in THRESHOLDS:
        said = {
            "threshold": threshold,
            "copies found": round(float((copies >= threshold).mean()), 4),
            "others taken for copies": round(float((among.max(1) >= threshold).mean()), 4),
        }
        print(json.dumps(said), flush=True)


def answers(
    encoder: Encoder, examples: Sequence[Example], rows: Rows, questions: Mapping[str, str]
) -> None:
    scores = rows @ encoder.encode_texts(list(questions)).T
    words = [re.compile(rf"\b(?:{named})s?\b", re.IGNORECASE) for named in questions.values()]
    right = np.array(
        [[sum(bool(w.search(c)) for c in e.captions) >= 2 for w in words] for e in examples]
    )
    cuts = np.unique(np.quantile(scores, np.linspace(0.5, 0.9999, 500)))
    each = np.stack([_f1(scores, right, cut) for cut in cuts])  # (cuts, questions)
    best = int(each.mean(1).argmax())
    own = np.sort(scores[right])
    said = {
        "questions": len(questions),
        "pictures": len(examples),
        "right answers": int(right.sum()),
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


def _f1(scores: Rows, right: npt.NDArray[np.bool_], cut: float) -> npt.NDArray[np.float64]:
    """F1 of each column, if what has at least this score is the answer."""
    found = scores >= cut
    both = (found & right).sum(0)
    values: npt.NDArray[np.float64] = 2 * both / np.maximum(1, found.sum(0) + right.sum(0))
    return values


if __name__ == "__main__":
    main()
