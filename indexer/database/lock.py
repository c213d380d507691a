"""One writer at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from encoder.durable import remove_file
from indexer.errors import LibraryLocked, StorageError

FILES = ("writer.lock", "writer.pid")
"""The lock, and the file that says who holds it."""


@contextmanager
def writing(directory: Path, wait: float = 0) -> Iterator[None]:
    """Hold the writer lock of the library at `directory`; the kernel frees it if the process dies.

    Raises LibraryLocked if another writer still holds it after `wait` seconds, and ValueError if
    `wait` is negative.
    """
    if not wait >= 0:
        raise ValueError(f"wait is {wait} but must be at least 0 seconds")
    # Not in the lock file, because older versions of filelock empty that when they try the lock.
    holder = directory / "writer.pid"
    lock = FileLock(directory / "writer.lock", timeout=wait)
    try:
        lock.acquire(poll_interval=0.05)
    except Timeout:
        raise LibraryLocked(
            f"{directory} is being written by {_name(holder)}; wait until it is done (--wait"
            " SECONDS), or stop it"
        ) from None
    except OSError as error:
        raise StorageError(
            f"{directory} cannot be written ({error.strerror}): the library can be searched, but"
            " changed only where it is writable"
        ) from error
    try:
        now = datetime.now().astimezone().isoformat(" ", "seconds")
        with suppress(OSError):  # on a full disk, messages cannot say who holds the lock
            remove_file(holder)
            with open(holder, "x", encoding="utf-8") as file:
                file.write(f"{os.getpid()}\n{now}\n")
        yield
    finally:
        with suppress(OSError):
            remove_file(holder)
        lock.release()


def _name(holder: Path) -> str:
    """Who holds the lock. The file may name a writer that was killed, or be missing because the new
    writer has not written it yet; then the answer is "another process"."""
    try:
        pid, since, _ = holder.read_text().split("\n")
        name = f"process {int(pid)} since {datetime.fromisoformat(since)}"
        return name if _is_alive(int(pid)) else "another process"
    except (OSError, ValueError):
        return "another process"


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # a process of another user
        return True
    return True
