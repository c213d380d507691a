"""Groups of near-duplicates that show only their best hit."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoder import FakeEncoder
from encoder.bundled import Facts
from indexer import Item, Library, Neighbours
from retrieval import Engine
from retrieval.defaults import NEAR_DUPLICATE
from retrieval.grouping import clock, leaders, near_duplicate

NOON = datetime(2024, 5, 6, 12)


def seconds(after: float) -> datetime:
    return NOON + timedelta(seconds=after)


@pytest.fixture
def album(tmp_path: Path) -> Iterator[Engine]:
    """An engine on the folder `album`; `index` brings its library up to date."""
    (tmp_path / "album").mkdir(exist_ok=True)
    library = Library.create(tmp_path / "album")
    with Engine(library, lambda name: FakeEncoder()) as engine:
        yield engine


def index(engine: Engine) -> None:
    engine.library.index([engine.library.path.parent], FakeEncoder)


def stems(hits: list) -> list[tuple[str, int | None]]:
    return [(hit.path.stem, hit.similar) for hit in hits]


def test_near_duplicates_fold_into_the_best(album: Engine, paint: Callable[..., Path]) -> None:
    paint("red.png", "red")
    paint("resized.png", (250, 0, 0), size=(4, 4))
    shutil.copy(paint("green.png", "green"), paint("copy.png", "green"))
    paint("blue.png", "blue")
    index(album)
    copies = ("copy", "green")  # equal scores: the smaller id comes first
    green = min(
        copies, key=lambda name: album.library.find(album.library.path.parent / f"{name}.png")[0].id
    )
    assert stems(album.search("green red green", k=2, group=True)) == [(green, 1), ("resized", 1)]
    assert [hit.rank for hit in album.search("red", group=True)] == [1, 2, 3]
    assert stems(album.search("blue", group=True)) == [("blue", 0), ("resized", 1), (green, 1)]
    assert stems(album.search("red", k=1)) == [("red", None)]


def test_the_threshold_divides(album: Engine, paint: Callable[..., Path]) -> None:
    """(1, 0, 0, 1) and (0.8, 0, 0, 1) have a cosine of 1.8 / (1.414 * 1.281) = 0.994."""
    paint("red.png", "red")
    paint("darker.png", (204, 0, 0))
    index(album)
    assert stems(album.search("red", group=True)) == [("red", 1)]
    assert stems(album.search("red", group=True, threshold=0.992)) == [("red", 1)]
    apart = album.search("red", group=True, threshold=0.996)
    assert stems(apart) == [("red", 0), ("darker", 0)]
    for threshold in (0.0, -1.0, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"must be above 0 and at most 1"):
            album.search("red", group=True, threshold=threshold)


def test_copies_fold_whatever_the_threshold(album: Engine, paint: Callable[..., Path]) -> None:
    shutil.copy(paint("a.png", "red"), paint("b.png", "red"))
    index(album)
    assert stems(album.search("red", group=True, threshold=1.0)) == [("a", 1)]


@pytest.mark.parametrize(
    ("times", "groups"),
    [
        ((seconds(0), seconds(60)), [("a", 1)]),
        ((seconds(0), seconds(61)), [("a", 0), ("b", 0)]),
        ((seconds(61), seconds(0)), [("a", 0), ("b", 0)]),
        ((seconds(0), None), [("a", 1)]),
        ((None, None), [("a", 1)]),
    ],
)
def test_time_divides_if_both_pictures_have_one(
    album: Engine,
    paint: Callable[..., Path],
    times: tuple[datetime | None, datetime | None],
    groups: list[tuple[str, int]],
) -> None:
    paint("a.png", "red", taken_at=times[0])
    paint("b.png", (250, 0, 0), taken_at=times[1])
    index(album)
    assert stems(album.search("red", group=True)) == groups


def test_the_clock_is_that_of_the_camera(album: Engine, paint: Callable[..., Path]) -> None:
    paint("a.png", "red")
    index(album)
    (item,) = album.library.items([1])
    east = NOON.replace(tzinfo=timezone(timedelta(hours=2)))
    taken = [Item(**{**item.__dict__, "taken_at": at}) for at in (NOON, east)]
    assert [clock(each) for each in taken] == [NOON.replace(tzinfo=UTC).timestamp()] * 2
    assert np.isnan(clock(item))


def test_the_query_picture_is_neither_hit_nor_counted(
    album: Engine, paint: Callable[..., Path]
) -> None:
    asked = paint("asked.png", "red")
    shutil.copy(asked, paint("copy.png", "red"))
    paint("third.png", (240, 0, 0))
    index(album)
    assert stems(album.similar(asked, group=True)) == [("copy", 1)]
    assert stems(album.search("red", images=[asked], group=True)) == [("copy", 1)]


def test_json_counts_similar_pictures_only_if_grouped(
    album: Engine, paint: Callable[..., Path]
) -> None:
    paint("a.png", "red")
    paint("b.png", (250, 0, 0))
    index(album)
    (hit,) = album.search("red", group=True)
    values = json.loads(json.dumps(hit.to_dict()))
    assert list(values) == [
        *("rank", "score", "id", "kind", "path", "text", "taken_at", "width", "height", "similar")
    ]
    assert values["similar"] == 1
    assert "similar" not in album.search("red")[0].to_dict()


def test_grouping_an_empty_library(album: Engine, paint: Callable[..., Path]) -> None:
    path = paint("a.png", "red")
    index(album)
    path.unlink()
    paint("notes/b.png", "blue").rename(path.parent / "b.png")
    index(album)
    assert stems(album.search("red", group=True)) == [("b", 0)]
    assert album.similar(path.parent / "b.png", group=True) == []


def expected(engine: Engine, words: str, threshold: float) -> list[tuple[int, int]]:
    """Ids and sizes of all groups, found slowly: item by item along the full ranking."""
    library = engine.library
    ids = [item.id for item in library.items(range(1, 1000))]
    query = FakeEncoder().encode_texts([words])[0].astype(np.float64)
    rows = dict(zip(ids, library.embeddings(ids).astype(np.float64), strict=True))
    scores = {id: np.float32(rows[id] @ query) for id in ids}
    groups: list[list[Item]] = []
    for item in library.items(sorted(ids, key=lambda id: (-scores[id], id))):
        for group in groups:
            mine, its = item.taken_at, group[0].taken_at
            near = np.float32(rows[item.id] @ rows[group[0].id]) >= threshold
            far = mine and its and abs((mine - its).total_seconds()) > 60
            if item.digest == group[0].digest or (near and not far):
                group.append(item)
                break
        else:
            groups.append([item])
    return [(group[0].id, len(group) - 1) for group in groups]


def one_by_one(
    library: Library, search: Callable, vector: np.ndarray, k: int, exclude: set[int], limit: float
) -> list[tuple[int, int, float]]:
    """Ids, sizes and scores of `k` groups, with a search for the near-duplicates of each hit."""
    taken = set(exclude)
    groups: list[tuple[int, int, float]] = []
    while True:
        found = search(vector, 7, exclude=taken)
        for item, score in zip(found.items, found.scores.tolist(), strict=True):
            if item.id not in taken and len(groups) < k:
                taken.add(item.id)
                (own,) = library.embeddings([item.id])
                all_near = search(own, 10_000, exclude=taken, at_least=min(limit, 0.99))
                others = [
                    other.id
                    for other, cosine in zip(all_near.items, all_near.scores, strict=True)
                    if other.digest == item.digest
                    or (cosine >= limit and not abs(clock(other) - clock(item)) > 60)
                ]
                taken.update(others)
                groups.append((item.id, len(others), score))
        if len(groups) == k or not found.items:
            return groups
        taken.update(found.ids.tolist())


class Numbered(FakeEncoder):
    """Embeds the text "7" as row 7."""

    def __init__(self, rows: np.ndarray) -> None:
        super().__init__()
        self.rows = rows
        self.dim = rows.shape[1]

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        return self.rows[[int(text) for text in texts]]


def bursts(rng: np.random.Generator, count: int, dim: int) -> np.ndarray:
    """Rows in groups of 1 to 200, some groups as tight as copies, around a few directions."""
    sizes = np.minimum(rng.zipf(1.5, count), 200)
    centres = rng.normal(size=(5, dim))
    heads = centres[rng.integers(0, 5, count)] + rng.normal(0, 0.7, (count, dim))
    spread = rng.choice([0.0, 0.02, 0.15, 0.3], count)
    owner = np.repeat(np.arange(count), sizes)[:count]
    rows = heads[owner] + spread[owner, np.newaxis] * rng.normal(size=(count, dim))
    rows = rng.permutation(rows)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("dim", [3, 90])
def test_groups_equal_those_found_one_by_one(tmp_path: Path, dim: int) -> None:
    rng = np.random.default_rng(0)
    encoder = Numbered(bursts(rng, 1500, dim))
    lines = [*range(1500), *rng.integers(0, 1500, 100).tolist()]
    (tmp_path / "texts.txt").write_text("\n".join(map(str, lines)))
    with Library.create(tmp_path) as library:
        library.index([tmp_path / "texts.txt"], lambda: encoder, batch_size=1000)
        search = partial(library.search, kind="text")
        near = partial(library.near, kind="text")
        exclude = set(rng.integers(1, 1600, 30).tolist())
        vector, most = encoder.rows[0], 0
        for limit in (0.5, 0.97, 0.995, 1.0):
            for k in (1, 40):
                groups = one_by_one(library, search, vector, k, exclude, limit)
                found, similar = leaders(library, search, near, vector, k, exclude, limit)
                ids, scores = found.ids.tolist(), found.scores.tolist()
                sizes = [similar[id] for id in ids]
                assert list(zip(ids, sizes, scores, strict=True)) == groups
                assert [item.id for item in found.items] == ids
                most = max(most, *sizes)
        assert most > 30


def test_the_number_of_searches_does_not_grow_with_the_hits(tmp_path: Path) -> None:
    """Before, each hit took a search of its own."""
    encoder = Numbered(np.random.default_rng(0).normal(size=(2000, 50)).astype(np.float32))
    encoder.rows /= np.linalg.norm(encoder.rows, axis=1, keepdims=True)
    encoder.rows[1900:] = encoder.rows[:100]
    (tmp_path / "texts.txt").write_text("\n".join(map(str, range(2000))))
    with Library.create(tmp_path) as library:
        library.index([tmp_path / "texts.txt"], lambda: encoder, batch_size=1000)
        calls: list[str] = []

        def search(*args: Any, **options: Any) -> Neighbours:
            calls.append("search")
            return library.search(*args, kind="text", **options)

        def near(ids: Iterable[int], threshold: float) -> list[np.ndarray]:
            calls.append("near")
            return library.near(ids, threshold, kind="text")

        for k in (5, 50, 500):
            calls.clear()
            found, _ = leaders(library, search, near, encoder.rows[7], k, frozenset(), 0.97)
            assert len(found.items) == k
            assert calls == ["search", "near"]


def test_groups_equal_those_of_the_full_ranking(album: Engine, paint: Callable[..., Path]) -> None:
    rng = np.random.default_rng(0)
    names = count()
    for colour in rng.integers(0, 256, (12, 3)):
        for _ in range(rng.integers(1, 30)):
            shade = np.clip(colour + rng.normal(0, 12, 3), 0, 255).astype(int)
            taken = seconds(int(rng.integers(0, 150))) if rng.random() < 0.6 else None
            path = paint(f"{next(names)}.png", tuple(shade.tolist()), taken_at=taken)
            for _ in range(rng.integers(0, 2)):
                shutil.copy(path, path.with_name(f"{next(names)}.png"))
    index(album)
    for threshold in (0.5, 0.97, 0.999):
        for words in ("red", "purple", "white"):
            groups = expected(album, words, threshold)
            for k in (1, 3, 10, 400):
                hits = album.search(words, k, group=True, threshold=threshold)
                assert [(hit.id, hit.similar) for hit in hits] == groups[:k]
                scores = {hit.id: hit.score for hit in album.search(words, k=1000)}
                assert [hit.score for hit in hits] == [scores[hit.id] for hit in hits]


def test_the_model_says_from_which_cosine_pictures_are_near_duplicates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    angles = np.array([0.0, 0.3, 1.5])  # cosines 0.955 and less
    encoder = Numbered(np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32))
    (tmp_path / "texts.txt").write_text("0\n1\n2")
    with Library.create(tmp_path) as library:
        assert near_duplicate(library, None) == NEAR_DUPLICATE
        library.index([tmp_path / "texts.txt"], lambda: encoder)
        assert near_duplicate(library, None) == NEAR_DUPLICATE
        assert near_duplicate(library, 0.5) == 0.5
        own = {encoder.name: Facts(near_duplicate=0.9)}
        monkeypatch.setattr("retrieval.grouping.facts", own.__getitem__)
        assert near_duplicate(library, None) == 0.9
        for wrong in (0.0, 1.1):
            with pytest.raises(ValueError, match="must be above 0 and at most 1"):
                near_duplicate(library, wrong)
