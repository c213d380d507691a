"""Scores with folds and through indexes, compared with slow loops."""

from functools import partial

import numpy as np
import pytest

from indexer import NULL
from retrieval.evaluation import ranks, recall
from retrieval.evaluation.misses import worst_misses
from retrieval.evaluation.scoring import Embedded, exact_scores, exact_search, index_scores

KS = (1, 5, 10)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def made(pictures: int, dim: int = 24, noise: float = 1.5, seed: int = 0) -> Embedded:
    """Random pictures, each with 4 to 6 texts near it."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(pictures, dim))
    picture = np.repeat(np.arange(pictures), rng.integers(4, 7, pictures))
    texts = images[picture] + noise * rng.normal(size=(len(picture), dim))
    return Embedded(unit(images), unit(texts), np.arange(pictures), picture)


def test_each_fold_is_ranked_on_its_own() -> None:
    data, size = made(100), 20
    expected: dict[str, list[np.ndarray]] = {"texts": [], "images": []}
    for first in range(0, 100, size):
        inside = [t for t, p in enumerate(data.picture) if first <= p < first + size]
        scores = data.texts[inside] @ data.images[first : first + size].T
        right = data.picture[inside][:, None] == np.arange(first, first + size)
        for name, s, r in (("texts", scores, right), ("images", scores.T, right.T)):
            order = np.argsort(-s, axis=1)
            expected[name].append(np.take_along_axis(r, order, 1).argmax(1) + 1)

    found, text_ranks, image_ranks = exact_scores(data.folds(5), KS)
    for name, ours, direction in (
        ("texts", text_ranks, found.text_to_image),
        ("images", image_ranks, found.image_to_text),
    ):
        slow = expected[name]
        assert [block.tolist() for block in ours] == [block.tolist() for block in slow]
        for k in KS:
            assert direction.recall[k] == pytest.approx(np.mean([(b <= k).mean() for b in slow]))
        assert direction.median_rank == pytest.approx(np.mean([np.median(b) for b in slow]))
        assert direction.mean_rank == pytest.approx(np.mean([b.mean() for b in slow]))
    # Blocks have different numbers of captions, so the mean over all captions would differ.
    assert len({len(block) for block in text_ranks}) > 1
    assert found.rsum == pytest.approx(
        100 * sum(sum(d.recall.values()) for d in (found.text_to_image, found.image_to_text))
    )


def test_folds_of_unequal_size_are_refused() -> None:
    with pytest.raises(ValueError, match="7 pictures cannot make 5 equal folds"):
        made(7).folds(5)


def test_flat_equals_exact() -> None:
    data = made(200)
    exact, *_ = exact_scores([data], KS)
    through, used = index_scores([data], KS, "flat", partial(pytest.fail, "not asked"), NULL)
    assert (used.kind, used.image_lists, used.text_lists) == ("flat", None, None)
    for one, other in zip(directions(exact), directions(through), strict=True):
        assert other.recall == pytest.approx(one.recall, abs=0.002)  # float16
        assert (other.median_rank, other.mean_rank) == (None, None)
        assert other.milliseconds > 0
    assert 0.1 < exact.text_to_image.recall[1] < 0.9


def directions(scores):
    return scores.text_to_image, scores.image_to_text


def test_equal_scores_earn_nothing_through_an_index_either() -> None:
    data = made(70)
    same = Embedded(
        np.repeat(data.images[:1], 70, 0),
        np.repeat(data.images[:1], len(data.texts), 0),
        data.content,
        data.picture,
    )
    for scores in (
        exact_scores([same], KS)[0],
        index_scores([same], KS, "flat", lambda: data.texts, NULL)[0],
        index_scores([same], KS, "ivf", lambda: data.texts, NULL)[0],
    ):
        assert scores.rsum == 0


def test_an_index_with_lists_loses_recall() -> None:
    """Phrases that lie on the pictures choose an nprobe that is too low for real captions."""
    rng = np.random.default_rng(0)
    images = np.repeat(rng.normal(size=(40, 16)), 25, 0) + 0.2 * rng.normal(size=(1000, 16))
    texts = images + 1.5 * rng.normal(size=(1000, 16))
    data = Embedded(unit(images), unit(texts), np.arange(1000), np.arange(1000))
    exact, *_ = exact_scores([data], (1, 10))
    like_captions, too_easy = data.texts[::20], data.images[::20]
    fair, fair_lists = index_scores([data], (1, 10), "ivf", lambda: like_captions, NULL)
    poor, poor_lists = index_scores([data], (1, 10), "ivf", lambda: too_easy, NULL)
    assert fair_lists.kind == "ivf"
    (fair_nlist, fair_nprobe), (poor_nlist, poor_nprobe) = (
        lists.image_lists or (0, 0) for lists in (fair_lists, poor_lists)
    )
    assert fair_nlist == poor_nlist == 15
    assert 0 < poor_nprobe < fair_nprobe <= 15
    recalls = [scores.text_to_image.recall[10] for scores in (exact, fair, poor)]
    assert recalls == sorted(recalls, reverse=True)
    assert recalls[0] > recalls[2]


def test_with_folds_the_largest_lists_are_reported() -> None:
    data = made(200)
    blocks = data.folds(2)
    used = [
        index_scores(part, KS, "ivf", lambda: data.texts[::5], NULL)[1]
        for part in (blocks[:1], blocks[1:], blocks)
    ]
    for *folds, both in (
        [lists.image_lists for lists in used if lists.image_lists],
        [lists.text_lists for lists in used if lists.text_lists],
    ):
        assert len(folds) == 2
        assert both == max(folds)


@pytest.mark.parametrize("k", [1, 7, 60, 100])
def test_exact_search(k: int) -> None:
    data = made(60)
    for query in data.texts[:20]:
        slow = np.argsort(-(data.images @ query))[:k]
        assert exact_search(data.images, query, k).tolist() == slow.tolist()


def test_worst_misses_equal_those_of_a_slow_loop() -> None:
    data = made(100, noise=3.0)
    content = data.content.copy()
    content[1::2] = content[::2]  # every other picture is a copy of the one before
    data = Embedded(np.repeat(data.images[::2], 2, 0), data.texts, content, data.picture)
    blocks = data.folds(2)
    _, text_ranks, _ = exact_scores(blocks, KS)
    captions = [f"caption {i}" for i in range(len(data.texts))]
    examples = [1000 + i for i in range(100)]
    found = worst_misses(blocks, text_ranks, captions, examples)

    assert len(found) == 24
    worst: dict[int, int] = {}
    for text, rank in enumerate(np.concatenate(text_ranks).tolist()):
        owner = int(data.owner[text])
        worst[owner] = max(worst.get(owner, 0), rank)
    assert [m.rank for m in found] == sorted(worst.values(), reverse=True)[:24]
    for miss in found:
        text = captions.index(miss.caption)
        assert miss.image == 1000 + data.picture[text]
        assert miss.rank == worst[data.owner[text]]
        block = (miss.image - 1000) // 50 * 50
        scores = data.images[block : block + 50] @ data.texts[text]
        first = np.array(miss.first) - 1000 - block
        assert first.min() >= 0
        of_first = scores[first]
        assert of_first == pytest.approx(np.sort(scores)[::-1][:5], abs=1e-6)
    assert len({(m.image - 1000) // 2 for m in found}) == 24


def test_captions_with_the_same_words_are_one_miss() -> None:
    data = made(100, noise=3.0)
    _, text_ranks, _ = exact_scores([data], KS)
    (worst,) = worst_misses([data], text_ranks, ["x"] * len(data.texts), range(100))
    assert worst.rank == text_ranks[0].max() > 1


def test_no_misses_if_every_picture_comes_first() -> None:
    data = made(10, noise=0.01)
    _, text_ranks, _ = exact_scores([data], KS)
    assert worst_misses([data], text_ranks, ["x"] * len(data.texts), range(10)) == ()


def test_copies_are_right_for_each_others_captions() -> None:
    images = unit(np.eye(3))
    data = Embedded(images[[0, 0, 1]], images[[0, 0, 1]], np.array([0, 0, 1]), np.arange(3))
    assert ranks(data.texts, data.images, data.owner, data.content).tolist() == [1, 1, 1]
    scores, *_ = exact_scores([data], (1,))
    assert scores.rsum == 200
    assert recall(ranks(data.texts, data.images, np.arange(3), np.arange(3)), 1) == 1 / 3
