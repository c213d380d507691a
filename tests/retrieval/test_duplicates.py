"""Copies and near-duplicates, compared with a slow search through all pairs."""

import shutil
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from encoder import FakeEncoder
from indexer import Library
from indexer.ann.pairs import near_pairs
from retrieval import find_duplicates
from retrieval.duplicates import near_groups

NOON = datetime(2024, 5, 6, 12)


def brute_force(
    rows: npt.NDArray[np.float32], threshold: float, apart: npt.NDArray[np.bool_]
) -> list[list[int]]:
    """Grow every group until no picture joins it."""
    left, groups = set(range(len(rows))), []
    while left:
        group = [min(left)]
        left -= set(group)
        for one in group:
            near = {i for i in left if rows[one] @ rows[i] >= threshold and not apart[one, i]}
            left -= near
            group += near
        groups.append(sorted(group))
    return [group for group in groups if len(group) > 1]


def clusters(rng: np.random.Generator, count: int, spread: float) -> npt.NDArray[np.float32]:
    centres = rng.normal(size=(max(count // 4, 1), 8))
    rows = centres[rng.integers(0, len(centres), count)] + rng.normal(0, spread, (count, 8))
    return halved(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def halved(rows: np.ndarray) -> npt.NDArray[np.float32]:
    """The rows as a library stores them."""
    return rows.astype(np.float16).astype(np.float32)


def grouped(rows: np.ndarray, kept_apart: np.ndarray, block: int) -> list[list[int]]:
    pairs = partial(near_pairs, rows.astype(np.float16), 0.95, block=block)
    return near_groups(len(rows), pairs, lambda i, j: kept_apart[i, j])


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
@pytest.mark.parametrize("spread", [0.05, 0.2, 0.5])
def test_near_groups_equal_brute_force(block: int, spread: float) -> None:
    rng = np.random.default_rng(block)
    found = 0
    for count in (0, 1, 2, 63, 64, 120):
        rows = clusters(rng, count, spread)
        kept_apart = rng.random((count, count)) < 0.3
        kept_apart |= kept_apart.T
        groups = grouped(rows, kept_apart, block)
        assert groups == brute_force(rows, 0.95, kept_apart)
        found += len(groups)
    assert found > 0


def test_a_long_chain_is_one_group() -> None:
    """Neighbours on a circle are alike, opposite points are not; their order is random."""
    count = 100
    turns = np.random.default_rng(0).permutation(count) * 2 * np.pi / count
    rows = np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float16)
    threshold = float(np.cos(1.5 * 2 * np.pi / count))
    pairs = partial(near_pairs, rows, threshold, block=32)
    assert near_groups(count, pairs, lambda i, j: i < 0) == [list(range(count))]
    assert near_groups(count, pairs, lambda i, j: i >= 0) == []


def test_a_chain_that_comes_from_its_end_is_followed_in_few_steps() -> None:
    """Each pair joins the group to the picture before it: the path grows by one step each time."""
    count = 30_000
    chain = [(np.array([i - 1]), np.array([i])) for i in range(count - 1, 0, -1)]
    began = time.process_time()
    groups = near_groups(count, lambda _: iter(chain), lambda i, j: i < 0)
    assert groups == [list(range(count))]
    assert time.process_time() - began < 10


def duplicates(folder: Path, **options: Any) -> list[tuple[str, list[str]]]:
    with Library.create(folder) as library:
        library.index([folder], FakeEncoder)
        found = find_duplicates(library, **options)
    return [(group.kind, [item.path.name for item in group.items]) for group in found]


def test_copies_then_near_duplicates(tmp_path: Path, paint: Callable[..., Path]) -> None:
    red = paint("red.png", "red", size=(8, 8))
    shutil.copy(red, paint("copy.png", "red"))
    paint("large.png", "red", size=(16, 16))
    paint("small.png", (252, 0, 0), size=(4, 4))
    shutil.copy(paint("z.png", "green"), paint("a.png", "green"))
    paint("blue.png", "blue")
    folder = tmp_path / "album"
    copies = [("copy", ["a.png", "z.png"]), ("copy", ["copy.png", "red.png"])]
    assert duplicates(folder, exact=True) == copies
    kept, (kind, near) = duplicates(folder)[:2], duplicates(folder)[2]
    assert kept == copies
    assert (kind, near[0], near[2]) == ("near", "large.png", "small.png")
    assert near[1] in ("copy.png", "red.png")  # copies of each other: one is enough
    assert duplicates(folder, threshold=1.0)[:2] == copies


def test_the_best_has_more_pixels_then_more_bytes(
    tmp_path: Path, paint: Callable[..., Path]
) -> None:
    paint("1-few-pixels.png", "red", size=(9, 9))
    large = Image.new("RGB", (10, 10), (255, 0, 0))
    large.save(tmp_path / "album" / "2-few-bytes.png")
    large.save(tmp_path / "album" / "3-many-bytes.bmp")
    sizes = [path.stat().st_size for path in sorted((tmp_path / "album").glob("[23]*"))]
    assert sizes[0] < sizes[1]
    assert duplicates(tmp_path / "album") == [
        ("near", ["3-many-bytes.bmp", "2-few-bytes.png", "1-few-pixels.png"])
    ]


@pytest.mark.parametrize(
    ("other", "listed"),
    [
        ({"taken_at": NOON}, True),  # a version of the same shot
        ({"taken_at": NOON, "colour": (240, 40, 0)}, False),  # another frame in the same second
        ({"taken_at": NOON + timedelta(seconds=3)}, False),
        ({"taken_at": NOON - timedelta(seconds=3)}, False),
        ({"taken_at": NOON + timedelta(seconds=4)}, True),
        ({"taken_at": None}, True),
        # a smaller version has the same capture time; frames of a burst have the same size
        ({"taken_at": NOON, "size": (4, 4)}, True),
        ({"taken_at": NOON, "name": "b.jpg"}, True),
    ],
)
def test_bursts_are_left_out(
    tmp_path: Path, paint: Callable[..., Path], other: dict[str, Any], listed: bool
) -> None:
    paint("a.png", "red", taken_at=NOON)
    paint(**{"name": "b.png", "colour": (252, 0, 0), **other})
    assert len(duplicates(tmp_path / "album")) == listed


def test_without_capture_times_nothing_is_a_burst(
    tmp_path: Path, paint: Callable[..., Path]
) -> None:
    paint("a.png", "red")
    paint("b.png", (252, 0, 0))
    assert duplicates(tmp_path / "album") == [("near", ["a.png", "b.png"])]


def test_texts_are_not_listed(tmp_path: Path, paint: Callable[..., Path]) -> None:
    paint("a.png", "red")
    texts = tmp_path / "album" / "texts.txt"
    texts.write_text("red\nred\n")
    with Library.create(tmp_path / "album") as library:
        library.index([tmp_path / "album", texts], FakeEncoder)
        assert library.copies("text") != []
        assert find_duplicates(library) == []


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.01, float("nan")])
def test_thresholds_that_are_refused(tmp_path: Path, threshold: float) -> None:
    with (
        Library.create(tmp_path) as library,
        pytest.raises(ValueError, match="above 0 and at most 1"),
    ):
        find_duplicates(library, threshold=threshold)


def test_an_empty_library_has_none(tmp_path: Path) -> None:
    with Library.create(tmp_path) as library:
        assert find_duplicates(library) == []
