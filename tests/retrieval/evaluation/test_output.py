"""Tables, JSON and pages of an evaluation made by hand."""

import base64
import errno
import io
import json
import math
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from encoder.datasets import Dataset, Example, StoredPicture
from encoder.fake import COLOURS
from retrieval.evaluation.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    bins,
    curve,
    depth,
    histogram,
)
from retrieval.evaluation.output import table, to_clip_benchmark, to_json, write_report
from retrieval.evaluation.page import SIDE, write_page
from retrieval.evaluation.published import published
from retrieval.evaluation.report import (
    Direction,
    Evaluation,
    IndexUsed,
    Miss,
    Published,
    Report,
    Scores,
)

DOCS = Path(__file__).parents[3] / "docs" / "evaluation.md"
ALIGN_BASE = "kakaobrain/align-base"

EXACT = Scores(
    Direction({1: 0.73, 5: 0.912, 10: 0.9544}, 1.0, 3.25, 0.02),
    Direction({1: 0.885, 5: 0.98, 10: 0.99}, 1.0, 1.5, 0.1),
)
THROUGH = Scores(
    Direction({1: 0.72, 5: 0.9, 10: 0.94}, None, None, 0.5),
    Direction({1: 0.885, 5: 0.981, 10: 0.98}, None, None, 0.05),
)
PLAIN = Report(
    dataset="scenes",
    split="test",
    layout="drawn",
    images=20,
    captions=100,
    caption_rule="first5",
    folds=5,
    model="align-mini",
    fingerprint="abc",
    revision=None,
    preprocessing="to 96x96",
    computed="float32 on cpu",
    versions={"torch": "2.13.0", "faiss-cpu": "1.15"},
    exact=EXACT,
    index=None,
    approximate=None,
    published=None,
    notes=(),
    seconds=1.26,
)
FULL = replace(
    PLAIN,
    dataset="coco",
    layout="Karpathy JSON",
    images=5000,
    captions=25_010,
    caption_rule="all",
    folds=1,
    model=ALIGN_BASE,
    revision="e96a37f",
    index=IndexUsed("ivf", (283, 24), None),
    approximate=THROUGH,
    published=Published("a card", text_to_image={1: 73.2}, image_to_text={1: 88.1, 10: 99.5}),
    notes=("7 pictures are there twice.",),
)


def test_the_table_of_an_exact_run() -> None:
    assert (
        table(PLAIN)
        == """\
dataset:       scenes, test
read from:     drawn
size:          20 images, 100 captions
captions:      the first 5 of an image
folds:         5, figures are means
model:         align-mini
fingerprint:   abc
revision:      none (a local or bundled model)
preprocessing: to 96x96
computed:      float32 on cpu
versions:      torch 2.13.0, faiss-cpu 1.15
index:         exact
took:          1.3 s

recall in %      R@1    R@5   R@10  median rank  mean rank  ms/query
text -> image  73.00  91.20  95.44          1.0        3.2     0.020
image -> text  88.50  98.00  99.00          1.0        1.5     0.100

rsum: 545.14 (R@1/5/10, both directions)"""
    )


def test_the_table_of_a_run_through_an_index_with_published_figures() -> None:
    assert (
        table(FULL)
        == """\
dataset:       coco, test
read from:     Karpathy JSON
size:          5,000 images, 25,010 captions
captions:      all
folds:         1
model:         kakaobrain/align-base
fingerprint:   abc
revision:      e96a37f
preprocessing: to 96x96
computed:      float32 on cpu
versions:      torch 2.13.0, faiss-cpu 1.15
index:         exact, and ivf (images: 283 lists, 24 searched; texts: flat)
published:     a card
took:          1.3 s

recall in %      R@1    R@5   R@10  median rank  mean rank  ms/query
text -> image  73.00  91.20  95.44          1.0        3.2     0.020
  through ivf  72.00  90.00  94.00            -          -     0.500
  difference   -1.00  -1.20  -1.44            -          -    25.00x
  published    73.2       -      -            -          -         -
  difference   -0.20      -      -            -          -         -
image -> text  88.50  98.00  99.00          1.0        1.5     0.100
  through ivf  88.50  98.10  98.00            -          -     0.050
  difference   +0.00  +0.10  -1.00            -          -     0.50x
  published    88.1       -  99.5             -          -         -
  difference   +0.40      -  -0.50            -          -         -

rsum: 545.14 (R@1/5/10, both directions); through ivf 540.60 (-4.54)
note: 7 pictures are there twice."""
    )


def test_the_table_has_the_ks_that_were_asked_for() -> None:
    side = Direction({3: 0.5, 50: 1.0}, 2.0, 2.0, 0.0)
    shown = table(replace(FULL, exact=Scores(side, side), approximate=Scores(side, side)))
    assert "recall in %      R@3    R@50  median rank" in shown
    assert (
        "  difference   +0.00   +0.00            -          -         -" in shown
    )  # the exact search took no time
    assert "rsum: 300.00 (R@3/50, both directions)" in shown


def test_json_has_everything() -> None:
    written = to_json(FULL)
    assert json.loads(json.dumps(written)) == written
    assert written == {
        "schema": "align-evaluation",
        "version": 1,
        "dataset": "coco",
        "split": "test",
        "layout": "Karpathy JSON",
        "images": 5000,
        "captions": 25_010,
        "caption_rule": "all",
        "folds": 1,
        "model": ALIGN_BASE,
        "fingerprint": "abc",
        "revision": "e96a37f",
        "preprocessing": "to 96x96",
        "computed": "float32 on cpu",
        "versions": {"torch": "2.13.0", "faiss-cpu": "1.15"},
        "exact": {
            "text_to_image": {
                "recall": {"1": 0.73, "5": 0.912, "10": 0.9544},
                "median_rank": 1.0,
                "mean_rank": 3.25,
                "milliseconds": 0.02,
            },
            "image_to_text": {
                "recall": {"1": 0.885, "5": 0.98, "10": 0.99},
                "median_rank": 1.0,
                "mean_rank": 1.5,
                "milliseconds": 0.1,
            },
            "rsum": pytest.approx(545.14),
        },
        "index": {"kind": "ivf", "image_lists": {"nlist": 283, "nprobe": 24}, "text_lists": None},
        "approximate": {
            "text_to_image": {
                "recall": {"1": 0.72, "5": 0.9, "10": 0.94},
                "median_rank": None,
                "mean_rank": None,
                "milliseconds": 0.5,
            },
            "image_to_text": {
                "recall": {"1": 0.885, "5": 0.981, "10": 0.98},
                "median_rank": None,
                "mean_rank": None,
                "milliseconds": 0.05,
            },
            "rsum": pytest.approx(540.6),
        },
        "published": {
            "source": "a card",
            "text_to_image": {"1": 0.732},
            "image_to_text": {"1": 0.881, "10": 0.995},
        },
        "notes": ["7 pictures are there twice."],
        "seconds": 1.26,
    }


def test_json_has_null_for_what_is_absent() -> None:
    written = to_json(PLAIN)
    absent = [name for name, value in written.items() if value is None]
    assert absent == ["revision", "index", "approximate", "published"]
    assert written["notes"] == []


def test_every_key_of_the_json_is_in_the_docs() -> None:
    keys = set(re.findall(r"^ *(?:\| )?`(\w+)`", DOCS.read_text(), re.MULTILINE))
    assert keys >= set(to_json(FULL))


def test_clip_benchmarks_file() -> None:
    assert to_clip_benchmark(FULL) == {
        "dataset": "mscoco_captions",
        "model": ALIGN_BASE,
        "pretrained": "e96a37f",
        "task": "zeroshot_retrieval",
        "metrics": {
            # Texts retrieve the images.
            "image_retrieval_recall@1": 0.73,
            "text_retrieval_recall@1": 0.885,
            "image_retrieval_recall@5": 0.912,
            "text_retrieval_recall@5": 0.98,
            "image_retrieval_recall@10": 0.9544,
            "text_retrieval_recall@10": 0.99,
        },
        "language": "en",
    }
    local = to_clip_benchmark(PLAIN)
    assert (local["dataset"], local["pretrained"]) == ("scenes", "abc")


@pytest.mark.parametrize("rule", ["all", "first5"])
def test_published_rows_fit_only_their_model_and_protocol(rule: str) -> None:
    flickr = published(ALIGN_BASE, "flickr30k", "test", rule, 1000)
    assert (flickr.text_to_image, flickr.image_to_text) == ({1: 73.2}, {1: 88.1})
    coco = published(ALIGN_BASE, "coco", "test", rule, 5000)
    assert (coco.text_to_image, coco.image_to_text) == ({1: 43.1}, {1: 61.2})
    assert published("align-mini", "coco", "test", rule, 5000) is None
    assert published("/models/align-base", "coco", "test", rule, 5000) is None
    assert published(ALIGN_BASE, "coco", "val", rule, 5000) is None
    assert published(ALIGN_BASE, "coco", "test", rule, 1000) is None  # the size of a fold
    assert published(ALIGN_BASE, "flickr30k", "test", rule, 31_014) is None
    assert published(ALIGN_BASE, "flickr8k", "test", rule, 1000) is None
    assert published(ALIGN_BASE, "coco", "test", "first1", 5000) is None


def test_the_published_table_of_the_docs_has_the_same_figures() -> None:
    (line,) = re.findall(r"^\| COYO-ALIGN.*align-base.*$", DOCS.read_text(), re.MULTILINE)
    said = [cell.strip() for cell in line.strip("|").split("|")][1:5]
    rows = [
        published(ALIGN_BASE, "flickr30k", "test", "all", 1000),
        published(ALIGN_BASE, "coco", "test", "all", 5000),
    ]
    ours = [side[1] for row in rows if row for side in (row.image_to_text, row.text_to_image)]
    assert [float(cell) for cell in said] == ours


def test_bins_cover_every_rank_once() -> None:
    assert bins(1) == [(1, 1)]
    assert bins(25_010) == [
        (1, 1),
        (2, 5),
        (6, 10),
        (11, 50),
        (51, 100),
        (101, 500),
        (501, 1000),
        (1001, 5000),
        (5001, 10_000),
        (10_001, 50_000),
    ]
    edges = bins(50)
    assert edges[-1] == (11, 50)
    assert histogram(np.array([1, 1, 5, 6, 11, 50]), edges) == [2, 1, 1, 2]


def test_curves() -> None:
    ranks = np.array([1, 2, 2, 4])
    assert curve(ranks, 4) == [(1, 0.25), (2, 0.75), (3, 0.75), (4, 1.0)]
    assert depth([ranks, ranks]) == 10
    assert depth([ranks, np.array([57])]) == 57
    assert depth([ranks, np.array([5000])]) == 100


# Browsers close these tags themselves. A page must close all other tags.
VOID = {"meta", "img", "!doctype"}


class Page(HTMLParser):
    """Parses a page, and refuses tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attributes}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attributes}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append((self._open[-1] if self._open else "", data))

    def all(self, tag: str, kind: str = "") -> list[dict[str, str]]:
        return [
            attributes
            for name, attributes in self.tags
            if name == tag and attributes.get("class", "").startswith(kind)
        ]

    def text(self, tag: str) -> list[str]:
        return [words for inside, words in self.words if inside == tag]


EVIL = '<script>alert("1")</script> & <b>'


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    examples = []
    for name in ("red", "green", "blue"):
        path = tmp_path / f"{name} <i>.png"
        Image.new("RGB", (640, 320), COLOURS[name]).save(path)
        examples.append(Example(StoredPicture(path.name, path), (f"a {name} thing",)))
    gone = Example(StoredPicture("gone\udcff<u>", tmp_path / "gone.png"), ("gone",))
    return Dataset("custom", "all", "CSV", (*examples, gone))


def evaluation(captions: int, images: int, misses: tuple[Miss, ...] = ()) -> Evaluation:
    random = np.random.default_rng(0)
    ranks = [
        np.minimum(random.geometric(0.02, count), gallery).astype(np.int64)
        for count, gallery in ((captions, images), (images, captions))
    ]
    return Evaluation(FULL, ranks[0], ranks[1], misses)


def write(folder: Path, found: Evaluation, dataset: Dataset) -> Page:
    write_page(folder / "page.html", found, dataset)
    assert [path.name for path in folder.glob("page*")] == ["page.html"]
    return Page((folder / "page.html").read_text("utf-8"))


@pytest.mark.parametrize(("captions", "images"), [(10, 2), (25_010, 5000)])
def test_the_page_draws_the_ranks(
    tmp_path: Path, dataset: Dataset, captions: int, images: int
) -> None:
    found = evaluation(captions, images)
    page = write(tmp_path, found, dataset)
    assert (tmp_path / "page.html").stat().st_size < 30_000
    end = 100 if images > 100 else 10
    lines = page.all("polyline")
    for line, ranks in zip(lines, (found.text_ranks, found.image_ranks), strict=True):
        points = [tuple(map(float, point.split(","))) for point in line["points"].split()]
        field = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM)
        ks = [math.exp((x - LEFT) / field[0] * math.log(end)) for x, _ in points]
        recalls = [1 - (y - TOP) / field[1] for _, y in points]
        assert [round(k) for k in ks] == list(range(1, end + 1))
        np.testing.assert_allclose(ks, np.round(ks), rtol=1e-4)
        expected = [(ranks <= k).mean() for k in range(1, end + 1)]
        np.testing.assert_allclose(recalls, expected, atol=1e-5)
    bars = page.all("rect", "bar")
    totals = {
        side: sum(int(bar["data-count"]) for bar in bars if bar["class"] == f"bar {side}")
        for side in ("s0", "s1")
    }
    assert totals == {"s0": captions, "s1": images}
    ones = next(bar for bar in bars if bar["class"] == "bar s0")
    assert int(ones["data-count"]) == (found.text_ranks == 1).sum()


def test_the_page_has_the_figures_of_the_table(tmp_path: Path, dataset: Dataset) -> None:
    page = write(tmp_path, evaluation(10, 2), dataset)
    cells = [cell.strip() for cell in page.text("td")]
    assert cells[:6] == ["73.00", "91.20", "95.44", "1.0", "3.2", "0.020"]
    assert "-1.44" in cells
    assert "25.00x" in cells
    assert "rsum: 545.14" in "".join(page.text("p"))
    assert "7 pictures are there twice." in page.text("p")
    assert "283 lists, 24 searched" in "".join(page.text("dd"))


def test_the_page_shows_the_misses(tmp_path: Path, dataset: Dataset) -> None:
    misses = (Miss(EVIL, 0, 1234, (1, 2)), Miss("all gone", 3, 900, (0, 3)))
    page = write(tmp_path, evaluation(10, 2, misses), dataset)
    assert EVIL in "".join(page.text("h3"))
    assert page.all("script") == page.all("b") == page.all("i") == page.all("u") == []
    labels = ["right, rank 1,234", "1", "2", "right, rank 900", "1", "2"]
    assert page.text("span") == labels
    kinds = [attributes["class"] for attributes in page.all("li")]
    assert kinds == ["right", "first", "first", "right", "first", "first"]
    shown = []
    for image in page.all("img"):
        data = base64.b64decode(image["src"].removeprefix("data:image/jpeg;base64,"))
        with Image.open(io.BytesIO(data)) as thumbnail:
            assert thumbnail.size == (SIDE, SIDE // 2)
            assert thumbnail.format == "JPEG"
            pixel = thumbnail.convert("RGB").getpixel((SIDE // 2, SIDE // 4))
            assert isinstance(pixel, tuple)
        nearest = min(COLOURS, key=lambda name: math.dist(COLOURS[name], pixel))
        shown.append((nearest, image["alt"]))
    assert shown == [(name, f"{name} <i>.png") for name in ("red", "green", "blue", "red")]
    gone = [words for words in page.text("div") if words.strip()]
    assert gone == ["gone?<u>"] * 2


def test_the_page_needs_no_other_file(tmp_path: Path, dataset: Dataset) -> None:
    page = write(tmp_path, evaluation(10, 2, (Miss(EVIL, 0, 9, (1,)),)), dataset)
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "base")
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "srcset", "data"):
                assert value.startswith("data:image/jpeg;base64,")
    (style,) = page.text("style")
    assert "url(" not in style
    assert "@import" not in style


def test_a_page_that_cannot_be_written_leaves_the_old_page(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "page.html"
    path.write_text("before")

    def full(temporary: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("encoder.durable.sync", full)
    with pytest.raises(OSError, match="No space") as caught:
        write_page(path, evaluation(10, 2), dataset)
    assert caught.value.filename == str(path)
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir() if "page" in p.name] == ["page.html"]


def test_a_file_is_written_whole_and_through_links(tmp_path: Path) -> None:
    file, link = tmp_path / "a.json", tmp_path / "link"
    link.symlink_to(file)
    write_report(link, "one\udcff")
    assert (file.read_text(), link.is_symlink()) == ("one?", True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "link"]


def test_a_pipe_or_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_report(pipe, "one")
        assert os.read(reader, 99) == b"one"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    with pytest.raises(OSError, match="No space left") as caught:
        write_report(Path("/dev/full"), "one")
    assert caught.value.filename == "/dev/full"
