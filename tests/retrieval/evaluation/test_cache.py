"""A cache returns the same bits in later runs, however the run that wrote them ended."""

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from retrieval.evaluation.cache import EmbeddingCache

DIM = 5
DIGESTS = [bytes([i]) * 32 for i in range(20)]
DIGESTS[3] = b"\x03" + 31 * b"\0"
RECORD = 32 + 4 * DIM


@pytest.fixture
def rows() -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(20, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def opened(
    folder: Path, fingerprint: str = "fa4e", kind: Literal["images", "texts"] = "images"
) -> EmbeddingCache:
    return EmbeddingCache(folder, fingerprint, kind, DIM)


def the_file(folder: Path) -> Path:
    return folder / "fa4e-images.f32"


@pytest.mark.parametrize("chunk", [3, 4096])
def test_rows_come_back_bit_by_bit(
    tmp_path: Path, rows: np.ndarray, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.evaluation.cache._CHUNK", chunk)
    first = opened(tmp_path / "new" / "folder")
    first.add(DIGESTS[:7], rows[:7])
    first.add(DIGESTS[7:], rows[7:])
    again = opened(tmp_path / "new" / "folder")
    backwards = [*reversed(DIGESTS)]
    for cache in (first, again):
        assert cache.rows(backwards).tobytes() == rows[::-1].tobytes()
    assert len(again) == 20
    assert the_file(tmp_path / "new" / "folder").stat().st_size == 20 * RECORD


def test_the_cache_knows_what_it_does_not_hold(tmp_path: Path, rows: np.ndarray) -> None:
    opened(tmp_path).add(DIGESTS[:2], rows[:2])
    cache = opened(tmp_path)
    assert [d in cache for d in DIGESTS[:3]] == [True, True, False]
    with pytest.raises(KeyError):
        cache.rows(DIGESTS[2:3])
    assert DIGESTS[0] not in opened(tmp_path, fingerprint="0the4")
    assert DIGESTS[0] not in opened(tmp_path, kind="texts")


def test_without_a_folder_nothing_is_written(
    tmp_path: Path, rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cache = EmbeddingCache(None, "fa4e", "images", DIM)
    cache.add(DIGESTS, rows)
    assert cache.rows(DIGESTS).tobytes() == rows.tobytes()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("torn", [1, 32, RECORD - 1])
def test_a_torn_record_is_cut_off(tmp_path: Path, rows: np.ndarray, torn: int) -> None:
    opened(tmp_path).add(DIGESTS[:5], rows[:5])
    whole = the_file(tmp_path).read_bytes()
    the_file(tmp_path).write_bytes(whole[: 4 * RECORD + torn])
    after = opened(tmp_path)
    assert [d in after for d in DIGESTS[:5]] == [True] * 4 + [False]
    after.add(DIGESTS[4:], rows[4:])
    again = opened(tmp_path)
    assert again.rows(DIGESTS).tobytes() == rows.tobytes()


def test_a_file_shorter_than_a_record_counts_as_empty(tmp_path: Path, rows: np.ndarray) -> None:
    the_file(tmp_path).write_bytes(b"")
    assert len(opened(tmp_path)) == 0
    the_file(tmp_path).write_bytes(b"x" * 10)
    cache = opened(tmp_path)
    cache.add(DIGESTS, rows)
    assert opened(tmp_path).rows(DIGESTS).tobytes() == rows.tobytes()


@pytest.mark.parametrize("bad", [0.0, 0.99, np.nan, np.inf])
def test_rows_that_are_not_of_unit_length_are_not_used(
    tmp_path: Path, rows: np.ndarray, bad: float
) -> None:
    damaged = rows.copy()
    damaged[2] *= bad
    opened(tmp_path).add(DIGESTS[:5], damaged[:5])
    cache = opened(tmp_path)
    assert [d in cache for d in DIGESTS[:5]] == [True, True, False, True, True]
    cache.add(DIGESTS[2:3], rows[2:3])
    assert opened(tmp_path).rows(DIGESTS[:5]).tobytes() == rows[:5].tobytes()


def test_with_two_writers_the_first_record_counts(tmp_path: Path, rows: np.ndarray) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    one.add(DIGESTS[:2], rows[:2])
    other.add(DIGESTS[1:3], rows[11:13])
    one.add(DIGESTS[3:4], rows[3:4])
    found = opened(tmp_path)
    assert found.rows(DIGESTS[:4]).tobytes() == rows[[0, 1, 12, 3]].tobytes()


def test_a_cache_that_cannot_be_written_warns_once_and_goes_on(
    tmp_path: Path, rows: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "taken").write_text("a file")
    cache = opened(tmp_path / "taken")
    cache.add(DIGESTS[:2], rows[:2])
    cache.add(DIGESTS[2:3], rows[2:3])
    assert cache.rows(DIGESTS[:3]).tobytes() == rows[:3].tobytes()
    (message,) = caplog.messages
    assert message == (
        f"{tmp_path}/taken/fa4e-images.f32 cannot be written (File exists), so embeddings are not"
        " kept for the next run: name another folder with --cache"
    )
