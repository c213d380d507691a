"""Indexes with lists: exact in the cases that promise it, measured in all others."""

import errno
import json
import os
from dataclasses import replace

import faiss
import numpy as np
import pytest

from encoder.fake import FakeEncoder
from indexer import GenerationError
from indexer.ann import faiss_index
from indexer.ann.exact_search import exact_bounds
from indexer.ann.layout import Layout, layout
from indexer.ann.spool import spooled
from indexer.ann.tuning import Queries, fewest, measure
from indexer.ann.tuning_queries import bundled_phrases
from indexer.recall_curve import CaseRecall, Point, Probing, RecallCurve
from indexer.search import view

DIM = 16


@pytest.fixture
def indexed(make_vectors, clustered, queries, monkeypatch):
    """A library of `clustered` with 40 lists and the nprobe that reaches a recall@10 of 0.9."""
    monkeypatch.setattr("indexer.ann.layout.SAMPLE_PER_LIST", 50)
    vectors = make_vectors(DIM)
    vectors.add(clustered)
    vectors.publish(queries, layout="ivf", target_recall=0.9)
    return vectors


def head(vectors):
    return vectors.library.status().generations[0]


def every(nlist):
    return Probing(nlist, 0, 1, 1, nlist)


def recall(vectors, queries, k=10):
    hits = [
        np.isin(vectors.library.search(query, k).ids, vectors.expected(query, k)[0]).mean()
        for query in queries
    ]
    return float(np.mean(hits))


@pytest.mark.parametrize(
    ("count", "choice", "nlist"),
    [
        (0, "auto", None),
        (200_000, "auto", None),
        (200_001, "auto", 1789),
        (1_000_000, "auto", 4000),
        (1_000_000, "flat", None),
        (63, "ivf", None),
        (64, "ivf", 1),
        (1000, "ivf", 15),
        (10_000, "ivf", 156),
        (100_000, "ivf", 1265),
    ],
)
def test_the_layout_follows_from_the_number_of_items(count, choice, nlist):
    planned = layout(count, choice)
    assert planned == Layout(nlist)
    assert planned.type == ("flat" if nlist is None else "ivf")
    if nlist and nlist > 1:
        assert 39 * nlist <= planned.sample <= min(count, 256 * nlist)


def test_what_is_published(indexed, clustered, sql):
    generation = head(indexed)
    assert (generation.type, generation.nlist, generation.count) == ("ivf", 40, 2000)
    assert (generation.delta, generation.deleted) == (0, 0)
    name, curve = sql(indexed.library, "SELECT name, curve FROM generations")[0]
    index = faiss.read_index(str(indexed.library.path / "generations" / name))
    assert (index.ntotal, index.nlist, index.by_residual) == (2000, 40, False)
    whole = json.loads(curve)
    assert (whole["with"], whole["queries"]) == ("queries of a test", 60)
    found = [p for p in generation.curve.points if p.nprobe == generation.nprobe]
    assert [list(found[0])] == [p for p in whole["points"] if p[0] == generation.nprobe]
    assert generation.curve.probing.nprobe == generation.nprobe
    assert generation.recall == generation.curve.cases[0].recall >= 0.9


def test_the_measured_recall_is_the_recall_of_searches(indexed, queries):
    generation = head(indexed)
    assert generation.nprobe < 40
    ten = generation.curve.cases[0]
    assert (ten.among, ten.k) == ("all items", 10)
    assert recall(indexed, queries[::3]) == pytest.approx(ten.recall, abs=1e-9)
    assert recall(indexed, queries) >= 0.9


def test_nprobe_is_the_smallest_that_surely_reaches_the_target(indexed, queries):
    generation = head(indexed)
    points = generation.curve.points
    assert [p.nprobe for p in points] == sorted({p.nprobe for p in points})
    for point in points:
        assert (point.surely >= 0.9) == (point.nprobe >= generation.nprobe)
        assert point.surely < point.recall or point.recall == 1.0


def test_all_lists_are_exact(indexed, clustered, queries):
    indexed.publish(queries, target_recall=1.0)
    generation = head(indexed)
    assert generation.recall == 1.0
    assert recall(indexed, queries) == 1.0
    opened = indexed.library._views["image"].opened
    chosen = faiss_index.all_but(np.zeros(0, np.int64), opened.index)
    for query in queries[:5]:
        found, scores = faiss_index.candidates(opened.index, query, 30, chosen, every(40), 1e-5)
        assert set(indexed.expected(query, 30)[0]) <= set(found.tolist())
        assert len(scores) == len(found)


def test_delta_and_deletions_with_lists(indexed, unit_rows, queries):
    indexed.add(unit_rows(15, DIM, seed=9))
    best = indexed.expected(queries[0], 5)[0]
    indexed.delete(best[:3])
    assert (head(indexed).delta, head(indexed).deleted) in {(15, 3), (14, 2), (13, 1), (12, 0)}
    assert recall(indexed, queries) >= 0.85
    gone = set(best[:3])
    assert not gone & set(indexed.library.search(queries[0], 50).ids.tolist())


def nearest(vectors, query, k, allowed):
    library = vectors.library
    with library._reader.begin() as db:
        seen = view.refresh(db, library.path, "image", None)
        return seen and view.nearest(db, seen, query, k, frozenset(), np.sort(allowed))


@pytest.mark.parametrize("size", [0, 1, 7, 200])
def test_few_allowed_items_are_scored_exactly(indexed, queries, size):
    rng = np.random.default_rng(size)
    indexed.delete([5, 6])
    for query in queries[:20]:
        allowed = rng.choice(np.arange(1, 2001), size, replace=False)
        outside = frozenset(range(1, 2001)) - set(allowed.tolist())
        ids, scores = indexed.expected(query, 10, exclude=outside)
        found = nearest(indexed, query, 10, allowed)
        assert found.ids.tolist() == ids
        np.testing.assert_allclose(found.scores, scores, rtol=0, atol=1e-7)


def test_many_allowed_items_fill_k_in_any_lists(indexed, queries):
    """The 300 worst answers lie far from the lists that a search looks into first."""
    for query in queries[:10]:
        worst = np.array(indexed.expected(query, 2000)[0][-300:])
        found = nearest(indexed, query, 50, worst)
        assert len(found.ids) == 50
        assert np.isin(found.ids, worst).all()


def test_an_index_that_finds_too_little_is_not_published(indexed, queries, monkeypatch, sql):
    before = sql(indexed.library, "SELECT name FROM generations")
    bad = replace(head(indexed).curve, cases=(CaseRecall("all items", 10, 0.4, 1.0, 0.3),))
    monkeypatch.setattr("indexer.ann.generations.measure", lambda *_: bad)
    with pytest.raises(GenerationError) as caught:
        indexed.publish(queries)
    assert str(caught.value).startswith(
        "the new index finds 40.0% of what it should instead of 90.0% and was not published"
    )
    assert sql(indexed.library, "SELECT name FROM generations") == before
    names = [path.name for path in (indexed.library.path / "generations").iterdir()]
    assert names == [name for (name,) in before]


def test_back_to_flat(indexed, queries):
    indexed.publish(queries, layout="auto")
    assert (head(indexed).type, head(indexed).nprobe, head(indexed).curve) == ("flat", None, None)
    assert recall(indexed, queries) == 1.0


@pytest.mark.parametrize(("first", "enough"), [(1, False), (3, False), (7, True)])
def test_the_fewest_lists_are_found(first, enough):
    """Recall is nprobe / 10, so 0.7 needs 7 lists."""
    tried = []

    def at(nprobe):
        tried.append(nprobe)
        return Point(nprobe, 0.9, 1.0, min(nprobe, 10) / 10)

    nprobe, points = fewest(at, 100, 0.7, first, enough)
    assert nprobe == 7
    assert [p.nprobe for p in points] == sorted(tried)
    assert fewest(at, 8, 0.9)[0] == 8
    if enough:
        assert tried[:1] == [7]
        assert len(points) == 1


def test_a_curve_comes_back_from_the_database(indexed):
    curve = head(indexed).curve
    assert RecallCurve.from_json(curve.to_json(), curve.probing.nprobe) == curve


def test_copies_may_stand_for_each_other(unit_rows):
    """Any ten of the copies are right, in whatever list they are."""
    rows = np.repeat(unit_rows(1, 4), 120, axis=0)
    pieces = [(np.arange(120), rows)]
    index = faiss_index.build(Layout(1), 4, lambda: rows, lambda: pieces)
    curve = measure(index, Queries(rows[:1], "one"), lambda: pieces, 1.0)
    assert curve.points[0][:2] == (1, 1.0)
    assert curve.lowest.recall == 1.0


def test_exact_bounds_equal_the_whole_matrix(unit_rows):
    queries, rows = unit_rows(7, 5), unit_rows(100, 5, seed=3)
    ids = np.arange(100)
    pieces = [(ids[start : start + 9], rows[start : start + 9]) for start in range(0, 100, 9)]
    whole = -np.sort(-(queries @ rows.T), axis=1)
    np.testing.assert_allclose(exact_bounds(queries, iter(pieces), 10), whole[:, :10], atol=1e-6)
    few = exact_bounds(queries, iter(pieces[:1]), 10)
    assert few.shape == (7, 9)


def test_a_spool_returns_the_pieces_it_was_given(tmp_path, unit_rows):
    rows = unit_rows(25_000, 3).astype(np.float16).astype(np.float32)
    ids = np.arange(25_000) * 2
    parts = [(ids[i : i + 4000], rows[i : i + 4000]) for i in range(0, 25_000, 4000)]
    with spooled(tmp_path / "s", 3, parts) as spool:
        assert len(spool) == 25_000
        back = list(spool.pieces())
        np.testing.assert_array_equal(np.concatenate([i for i, _ in back]), ids)
        np.testing.assert_array_equal(np.concatenate([r for _, r in back]), rows)
        sample = spool.sample(500, seed=4)
        np.testing.assert_array_equal(sample, spool.sample(500, seed=4))
        assert sample.shape == (500, 3)
        known = {row.tobytes() for row in rows}
        assert all(row.tobytes() in known for row in sample)
        assert len(np.unique(sample, axis=0)) > 490
        np.testing.assert_array_equal(spool.sample(10**9, seed=4), rows)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("choice", ["flat", "ivf"])
def test_contents_are_what_was_built(choice, unit_rows):
    rows = unit_rows(200, 8).astype(np.float16).astype(np.float32)
    ids = np.random.default_rng(0).permutation(1000)[:200]
    pieces = [(ids[:90], rows[:90]), (ids[90:], rows[90:])]
    index = faiss_index.build(layout(200, choice), 8, lambda: rows, lambda: pieces)
    back: dict[int, np.ndarray] = {}
    for some, part in faiss_index.contents(index):
        back |= dict(zip(some.tolist(), part, strict=True))
    assert sorted(back) == sorted(ids.tolist())
    np.testing.assert_array_equal(np.array([back[int(i)] for i in ids]), rows)


def test_lists_are_filled_as_faiss_fills_them(unit_rows):
    """Ids and codes are compared list by list."""
    rows = unit_rows(700, 8).astype(np.float16).astype(np.float32)
    ids = np.random.default_rng(0).permutation(5000)[:700]
    pieces = [(ids[i : i + 99], rows[i : i + 99]) for i in range(0, 700, 99)]
    ours = faiss_index.build(Layout(9), 8, lambda: rows, lambda: pieces).faiss
    theirs = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(8), 8, 9, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
    )
    theirs.train(rows)
    theirs.add_with_ids(rows, ids)
    assert faiss.serialize_index(ours).tobytes() == faiss.serialize_index(theirs).tobytes()


def test_a_full_disk_is_an_error_of_the_file(unit_rows):
    pieces = [(np.arange(900), unit_rows(900, 8))]
    index = faiss_index.build(Layout(None), 8, lambda: unit_rows(0, 8), lambda: pieces)
    full = pytest.raises(OSError, match=os.strerror(errno.ENOSPC))
    with open("/dev/full", "wb", buffering=0) as file, full:
        faiss_index.write(index, file)


def test_the_phrases_are_five_hundred_different_ones():
    phrases = bundled_phrases()
    assert len(phrases) == len(set(phrases)) == 500
    assert all(phrase == phrase.strip() and phrase for phrase in phrases)


class Origins(FakeEncoder):
    """Remembers the texts that it embeds."""

    def __init__(self):
        super().__init__()
        self.texts = []

    def encode_texts(self, texts):
        self.texts += texts
        return super().encode_texts(texts)


def test_an_index_of_pictures_is_measured_with_phrases_embedded_once(photos):
    for n in range(70):
        photos.paint(f"{n}.png", (n, 0, 0))
    photos.index()
    encoder = Origins()
    photos.library.rebuild(lambda: encoder, layout="ivf")
    assert encoder.texts == bundled_phrases()
    curve = photos.library.status().generations[0].curve
    assert (curve.origin, curve.queries) == ("500 everyday phrases", 500)
    photos.library.rebuild(lambda: pytest.fail("they were embedded already"))
    assert photos.library.status().generations[0].type == "ivf"


def test_the_librarys_own_texts_and_given_captions_come_before_phrases(photos):
    for n in range(70):
        photos.paint(f"{n}.png", (n, 0, 0))
    captions = photos.write("c.txt", "\n".join(f"caption {n}" for n in range(120)))
    photos.index(photos.folder, captions)
    photos.library.rebuild(FakeEncoder, layout="ivf")
    image, text = photos.library.status().generations
    assert (image.curve.origin, image.curve.queries) == ("120 of the library's texts", 120)
    assert text.curve.origin == "500 everyday phrases"  # 70 pictures are too few
    encoder = Origins()
    photos.library.rebuild(lambda: encoder, captions=["a red thing", "a blue thing"])
    image, text = photos.library.status().generations
    assert (image.curve.origin, image.curve.queries) == ("2 of the captions given", 2)
    assert sorted(encoder.texts) == ["a blue thing", "a red thing"]
    assert text.curve.origin == "500 everyday phrases"


def test_building_lists_reports_progress(photos, progress):

    for n in range(70):
        photos.paint(f"{n}.png", (n, 0, 0))
    photos.index()
    photos.library.rebuild(FakeEncoder, layout="ivf", progress=progress)
    assert progress == [(140, "vectors"), 70, 70, "done"]


def test_a_target_out_of_range(photos):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        photos.library.rebuild(FakeEncoder, target_recall=1.5)


def test_mapped_files_outlive_their_removal(indexed, queries):
    """A reader that opened a generation can use it after newer ones have replaced it."""
    before = indexed.library.search(queries[0], 5).ids.tolist()
    opened = indexed.library._views["image"].opened
    for path in (indexed.library.path / "generations").iterdir():
        os.unlink(path)
    chosen = faiss_index.all_but(np.zeros(0, np.int64), opened.index)
    found, _ = faiss_index.candidates(opened.index, queries[0], 5, chosen, opened.probing, 1e-5)
    assert set(before) <= set(found.tolist())
