"""Pairs of near-duplicates, compared with all products of all embeddings."""

import tempfile
import tracemalloc
from functools import partial

import numpy as np
import pytest

from indexer import NULL, Library, StorageError
from indexer.ann import pairs
from indexer.ann.pairs import near_pairs
from indexer.ann.sketches import Sketcher, farthest


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


def album(count, dim=160, seed=0, clusters=40, noise=0.8, shift=0.0, low=0.97):
    """Clustered pictures; each fifth is a near-duplicate of another, at a cosine of `low` to 1.
    With a `shift` all lie on one side of the space, as pictures do when seen from texts."""
    rng = np.random.default_rng(seed)
    scale = np.arange(1, dim + 1) ** -0.5
    centres = unit(rng.normal(size=(clusters, dim)) * scale)
    rows = centres[rng.integers(0, clusters, count)].astype(np.float64)
    rows = unit(rows + noise * unit(rng.normal(size=(count, dim)) * scale))
    rows = unit(rows + shift * unit(rng.normal(size=(1, dim)))).astype(np.float64)
    copies = rng.permutation(count)[: count // 5]
    of = rows[rng.integers(0, count, len(copies))]
    aside = rng.normal(size=of.shape)
    aside = unit(aside - (aside * of).sum(axis=1, keepdims=True) * of)
    cosines = rng.uniform(low, 1, (len(copies), 1))
    rows[copies] = cosines * of + np.sqrt(1 - cosines**2) * aside
    return unit(rows)


def all_alike(count, dim=160):
    return np.repeat(album(1, dim), count, axis=0)


def found(rows, threshold, groups=lambda places: places, block=64):
    """All that is found, (n, 2), the smaller number first."""
    portions = [np.zeros((0, 2), int)]
    for left, right in near_pairs(rows, threshold, groups, block=block):
        assert (np.diff(left) >= 0).all()
        portions.append(np.sort(np.column_stack([left, right]), axis=1))
    return np.unique(np.vstack(portions), axis=0)


def brute_force(rows, threshold):
    whole = rows.astype(np.float64)
    return np.argwhere(np.triu(whole @ whole.T >= threshold, 1))


@pytest.mark.parametrize(
    "rows",
    [
        album(2000),
        album(2000, shift=2.0),
        album(2000, clusters=1, noise=100.0),  # no clusters at all: lists help little
        album(2000, dim=3),
        album(2000, low=0.5),
        album(700, dim=600),
        album(1500, clusters=1, noise=0.002, low=0.9999),  # nearly all alike
        np.vstack([all_alike(500), album(1500)]),
        np.eye(3, dtype=np.float16)[np.arange(2000) % 3],
        np.zeros((200, 5), np.float16),  # embeddings of items that were deleted meanwhile
        album(65),
        album(2),
        album(1),
        np.zeros((0, 640), np.float16),
    ],
)
@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.97, 0.99, 1.0])
def test_all_pairs_are_found_and_no_others(rows, threshold):
    got = np.zeros((len(rows), len(rows)), bool)
    got[tuple(found(rows, threshold).T)] = True
    products = np.triu(rows.astype(np.float64) @ rows.astype(np.float64).T, 1)
    assert got[products >= threshold + 1e-6].all()
    assert not got[products < threshold - 1e-6].any()


def compared(rows, threshold):
    """How many products of sketches are computed."""
    sketches = pairs._sketches(rows)
    lists = pairs._lists(sketches, farthest(threshold), 64)
    return sum(len(left) * len(right) for left, right in lists.comparisons(sketches, 64, NULL))


def test_lists_spare_most_comparisons():
    small, large = (compared(album(n, clusters=n // 50), 0.97) for n in (2500, 10_000))
    assert small < 2500**2 / 2 / 5
    assert large < 8 * small  # with all pairs, 16 times


def test_without_use_of_lists_no_pair_is_compared_twice():
    rows = album(1000, clusters=1, noise=100.0)
    blocks = -(-1000 // 64)
    assert compared(rows, 0.5) <= blocks * (blocks + 1) / 2 * 64**2


def test_pairs_within_a_group_are_left_out():
    rows = album(2000, dim=40)
    pairs = brute_force(rows, 0.97)
    across = pairs[pairs.sum(axis=1) % 2 == 1]
    assert 50 < len(across) < len(pairs)
    np.testing.assert_array_equal(found(rows, 0.97, lambda places: places % 2), across)
    assert len(found(rows, 0.5, np.zeros_like)) == 0


@pytest.mark.parametrize("kept", [1, 16, 64, 100])
@pytest.mark.parametrize("shorter", [None, 1, 8, 64, 100])
def test_products_of_sketches_are_never_less(kept, shorter):
    rows = album(400, dim=64).astype(np.float32)
    sketcher = Sketcher.of(rows, kept)
    sketches = sketcher(rows)
    dimensions = min(kept, 64)
    if shorter:
        sketches = sketcher.shorter(shorter)(sketches)
        dimensions = min(shorter, dimensions)
    assert sketches.shape == (400, dimensions + 1)
    assert (sketches @ sketches.T >= rows @ rows.T - 1e-5).all()
    np.testing.assert_allclose((sketches**2).sum(axis=1), (rows**2).sum(axis=1), atol=1e-5)


def test_a_sketch_keeps_the_dimensions_that_say_most():
    rng = np.random.default_rng(0)
    rows = unit(rng.normal(size=(500, 20)) * np.where(np.arange(20) % 5, 0.1, 1)).astype(np.float32)
    sketches = Sketcher.of(rows, 4)(rows)
    excess = sketches @ sketches.T - rows @ rows.T
    assert excess.mean() < 0.1  # with four of the dull dimensions it is 0.98
    np.testing.assert_allclose(
        Sketcher.of(rows, 4).shorter(2)(sketches), Sketcher.of(rows, 2)(rows), atol=1e-5
    )


@pytest.mark.parametrize("rows", [all_alike(6000), album(6000)])
def test_memory_does_not_grow_with_the_square(rows):
    """All products of 6,000 pictures would take 144 MB, all pairs of equal ones 288 MB."""
    tracemalloc.start()
    try:
        for _ in near_pairs(rows, 0.97, lambda places: places, block=256):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30e6


class Steps:
    """Records the calls it gets."""

    def __init__(self):
        self.said = []

    def start(self, total, what):
        self.said.append((total, what))

    def advance(self, steps):
        self.said.append(steps)

    def finish(self):
        self.said.append("finished")


@pytest.mark.parametrize("count", [5, 1000])
def test_progress_counts_embeddings(count):
    steps = Steps()
    list(near_pairs(album(count), 0.97, lambda places: places, block=64, progress=steps))
    assert (steps.said[0], steps.said[-1]) == ((count, "comparing"), "finished")
    assert sum(steps.said[1:-1]) == count


def test_a_library_finds_the_pairs_of_some_of_its_items(make_vectors):
    vectors = make_vectors(40)
    vectors.add(album(900, dim=40))
    vectors.publish()
    vectors.delete(range(1, 100))
    ids = np.arange(50, 851)
    portions = vectors.library.near_pairs(ids, 0.97, lambda places: places)
    got = {(i, j) for left, right in portions for i, j in zip(ids[left], ids[right], strict=True)}
    live = np.array([id for id in vectors.live if id in ids])
    rows = np.array([vectors.live[id][1] for id in live.tolist()])
    assert len(got) > 50
    assert got == {tuple(pair) for pair in live[brute_force(rows, 0.97)].tolist()}


def test_a_library_without_items_has_no_pairs(tmp_path):
    with Library.create(tmp_path) as library:
        nothing = np.zeros(0, np.int64)
        assert list(library.near_pairs(nothing, 0.97, lambda places: places)) == []


def test_a_full_temporary_folder_is_said(make_vectors, monkeypatch):
    vectors = make_vectors(40)
    vectors.add(album(10, dim=40))
    monkeypatch.setattr(tempfile, "TemporaryFile", partial(open, "/dev/full", "wb"))
    with pytest.raises(StorageError, match=r"No space left on device.*set TMPDIR"):
        list(vectors.library.near_pairs(np.arange(1, 11), 0.97, lambda places: places))
