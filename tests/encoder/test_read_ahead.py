"""Read-ahead: in order, bounded, and ended cleanly."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from encoder.read_ahead import ahead


def running() -> list[str]:
    """The threads of `ahead` that are alive."""
    return [t.name for t in threading.enumerate() if t.name.startswith("align-ahead")]


def test_results_keep_their_order_though_later_ones_are_ready_first() -> None:
    later_is_done = threading.Event()

    def double(value: int) -> int:
        if value == 0:
            assert later_is_done.wait(60)
        elif value == 1:
            later_is_done.set()
        return 2 * value

    assert list(ahead(double, range(10), depth=4, workers=2)) == list(range(0, 20, 2))
    assert running() == []


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_no_more_than_depth_results_are_ahead(depth: int) -> None:
    begun: list[int] = []

    def values() -> Iterator[int]:
        for value in range(6):
            begun.append(value)
            yield value

    results = ahead(str, values(), depth, workers=2)
    assert begun == []
    for taken in range(6):
        assert next(results) == str(taken)
        assert begun == list(range(min(6, taken + depth + 1)))
    assert list(results) == []


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set as soon as what has not begun is cancelled."""
    cancelled = threading.Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            cancelled.set()
            super().shutdown(wait)

    monkeypatch.setattr("encoder.read_ahead.ThreadPoolExecutor", Pool)
    return cancelled


def test_an_exception_comes_at_its_place_and_cancels_the_rest(ending: threading.Event) -> None:
    begun: list[int] = []

    def work(value: int) -> int:
        begun.append(value)
        if value == 1:
            raise ValueError("of 1")
        if value == 2:
            assert ending.wait(60)
        return value

    results = ahead(work, range(9), depth=5, workers=1)
    assert next(results) == 0
    with pytest.raises(ValueError, match="of 1"):
        next(results)
    assert begun in ([0, 1], [0, 1, 2])
    assert running() == []
    assert list(results) == []


def test_closing_early_ends_the_threads_and_waits_for_what_has_begun(
    ending: threading.Event,
) -> None:
    has_begun = threading.Event()
    done: list[Any] = []

    def work(value: int) -> int:
        if value == 1:
            has_begun.set()
            assert ending.wait(60)
        done.append(value)
        return value

    results = ahead(work, range(9), depth=5, workers=1)
    assert next(results) == 0
    assert has_begun.wait(60)
    results.close()
    assert done == [0, 1]
    assert running() == []
