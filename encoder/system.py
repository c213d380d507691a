"""What the operating system must have, and what a process must do after it was forked."""

import os
import signal
import sys
import weakref
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any, Protocol

_REMEDY = "it runs on Linux and on macOS; on Windows, use it within WSL"


def lacking() -> str | None:
    """Why the programs cannot run here, in one sentence; None if they can."""
    if sys.platform == "win32":
        return f"align-retrieval does not run on Windows itself: {_REMEDY}"
    for module in ("fcntl", "resource"):
        if find_spec(module) is None:
            return f"align-retrieval needs Python's module {module}, which is missing: {_REMEDY}"
    if not hasattr(signal, "setitimer"):
        return f"align-retrieval needs timers that send signals: {_REMEDY}"
    return None


class Forkable(Protocol):
    """Holds something that a forked process must not share with its parent."""

    def after_fork(self) -> None:
        """Called in the child: let go of what is the parent's, without touching it."""


_forkable: weakref.WeakSet[Any] = weakref.WeakSet()
_parents: list[object] = []


def watch_forks(holder: Forkable) -> None:
    """Call ``holder.after_fork()`` in every process that is forked from this one while `holder`
    lives."""
    _forkable.add(holder)


def leave_to_parent(thing: object) -> None:
    """Keep `thing` as it is for as long as this process lives, so that nothing closes it here."""
    _parents.append(thing)


def one_thread_after_fork(set_threads: Callable[[int], None]) -> None:
    """Call ``set_threads(1)`` in every process that is forked from this one.

    GNU's OpenMP, which torch and FAISS use, waits for ever in a child for the threads of its
    parent, unless it needs no more than one.
    """
    os.register_at_fork(after_in_child=partial(set_threads, 1))


def _after_fork() -> None:
    for holder in list(_forkable):
        holder.after_fork()


if hasattr(os, "register_at_fork"):  # or the program ends with the sentence of `lacking`
    os.register_at_fork(after_in_child=_after_fork)
