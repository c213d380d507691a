"""One writer at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from indexer.errors import LibraryLocked, StorageError


@contextmanager
def writing(directory: Path, wait: float = 0) -> Iterator[None]:
    """Hold the writer lock of the library at `directory`; the kernel frees it when we die.

    Raises LibraryLocked where another writer still holds it after `wait` seconds (ValueError below
    0).
    """
    if not wait >= 0:
        raise ValueError(f"wait is {wait} but must be at least 0 seconds")
    # Beside the lock, since older versions of filelock empty the lock file when they try it.
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
        with suppress(OSError):  # a full disk: others will not be told who we are
            holder.write_text(f"{os.getpid()}\n{now}\n")
        yield
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def _name(holder: Path) -> str:
    """Who holds the lock, as far as it said so: a writer that was killed left its name behind, and
    one that begins this moment has not written its own yet."""
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
    except PermissionError:  # another user's
        return True
    return True
