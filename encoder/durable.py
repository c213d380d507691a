"""Folders that are still there after the power failed."""

import errno
import os
from pathlib import Path


def make_folder(path: Path) -> None:
    """Make the absolute folder `path`, and those above it, where they are missing."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make durable which names are in a folder, as far as its file system knows such a thing."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        os.close(handle)
