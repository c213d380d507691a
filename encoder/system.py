"""What the operating system must have, and what a process must do after it was forked."""

import math
import os
import platform
import signal
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

CGROUP = Path("/sys/fs/cgroup")
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


def processors() -> int:
    """How many processors this process may use: those that its affinity names, and no more than
    the quota of its container, rounded up."""
    count = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    return max(1, min([count, *_quotas()]))


def _quotas() -> list[int]:
    """What the control groups of Linux (version 2, then 1) leave to this process."""
    found = []
    with suppress(OSError, ValueError):
        quota, period = (CGROUP / "cpu.max").read_text().split()
        found.append(math.ceil(int(quota) / int(period)))  # a ValueError if the quota is "max"
    with suppress(OSError, ValueError):
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        quota, period = ((CGROUP / "cpu" / name).read_text() for name in names)
        if int(quota) > 0:
            found.append(math.ceil(int(quota) / int(period)))
    return found


@cache
def _about_processor() -> dict[str, str]:
    """What Linux says about the first processor."""
    with suppress(OSError):
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
        pairs = (line.partition(":") for line in first.splitlines())
        return {name.strip(): value.strip() for name, _, value in pairs}
    return {}


def processor() -> str:
    """The name of the processor, as far as the system tells it."""
    return _about_processor().get("model name") or platform.machine()


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; where it does not, that is slower than
    float32."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(_about_processor().get("flags", "").split())


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
