"""One writer at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from indexer.errors import LibraryLocked


@contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Hold the writer lock of the library at `directory`; the kernel frees it when we die.

    Raises LibraryLocked at once when another writer holds it.
    """
    # Beside the lock, since older versions of filelock empty the lock file when they try it.
    holder = directory / "writer.pid"
    lock = FileLock(directory / "writer.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        pid = holder.read_text() if holder.exists() else "unknown"
        raise LibraryLocked(
            f"{directory} is being written by process {pid}; wait until it is done, or stop it"
        ) from None
    try:
        with suppress(OSError):  # a full disk: others will not be told who we are
            holder.write_text(str(os.getpid()))
        yield
    finally:
        lock.release()
