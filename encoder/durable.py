"""Files that are written whole or not at all, and what survives a power failure."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO


def make_folder(path: Path) -> None:
    """Make the absolute folder `path` and the missing folders above it, each of them durable."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync(path.parent)


@contextmanager
def write_whole(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a new file for writing bytes; it replaces `path` when the block ends.

    The rest is as for `replacing`. A file that is shorter than what was written is refused with an
    OSError.
    """
    with replacing(path, durable=durable) as temporary:
        with open(temporary, "wb") as file:
            yield file
            written = file.tell()
        if temporary.stat().st_size != written:
            raise OSError(errno.EIO, "it came out shorter than written")


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """The path of a temporary file, which the block writes and which then replaces `path`.

    It lies in the same folder as ``NAME.align.tmp``, a name that no other program uses; the next
    writer replaces a file that a killed one left there. If anything fails, the temporary file is
    removed and `path` stays as it was; an OSError then names `path`. `durable` makes the new file
    survive a power failure, which takes two waits for the disk. Without `durable`, a power failure
    may leave a damaged file: choose that only for content that is easily made again.
    """
    temporary = path.with_name(f"{path.name}.align.tmp")
    try:
        remove_file(temporary)
        if os.path.lexists(temporary):
            raise OSError(errno.EEXIST, f"{temporary.name}, which is no plain file, is in the way")
        yield temporary
        if durable:
            sync(temporary)
        temporary.replace(path)
        if durable:
            sync(path.parent)
    except BaseException as error:
        with suppress(OSError):  # it must not keep a full disk full
            remove_file(temporary)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise


def remove_file(path: Path) -> None:
    """Remove a plain file. A link, a folder or anything else that lies at `path` stays."""
    with suppress(FileNotFoundError):
        if S_ISREG(path.lstat().st_mode):
            path.unlink()


def sync(path: Path) -> None:
    """Make the content of a file durable, or the names in a folder if its file system can."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        os.close(handle)
