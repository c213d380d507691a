"""Results that threads compute before they are asked for."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(
    function: Callable[[T], R], values: Iterable[T], depth: int, workers: int
) -> Generator[R]:
    """As `map`, in `workers` threads, at most `depth` results ahead of the one that is taken.

    The results keep the order of `values`. An exception is raised in place of its result and ends
    the generator. When the generator ends or is closed, calls that have not begun are cancelled;
    calls that have begun are waited for.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="align-ahead")
    waiting: deque[Future[R]] = deque()
    try:
        for value in values:
            waiting.append(pool.submit(function, value))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
