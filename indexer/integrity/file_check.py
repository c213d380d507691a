"""Check that the files on disk are still those that were indexed."""

import hashlib
import os
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, select

from indexer.database import catalogue
from indexer.database.schema import files
from indexer.progress import Progress
from indexer.records import Finding

Part = tuple[int, int]
"""(N, T): the Nth of T parts of all files, counted from 1."""

_Known = tuple[bytes, int, int, bytes]
"""Absolute path, size, mtime_ns and SHA-256 of a file, as the last run found them."""


def chosen_files(db: Connection, part: Part) -> Iterator[_Known]:
    """The files in `part`. A hash of its path chooses the part of a file, so it never changes."""
    number, parts = part
    folders = {root.id: root.path for root in catalogue.all_roots(db) if not root.imported}
    f = files.c
    query = select(f.root_id, f.path, f.size, f.mtime_ns, f.digest).where(
        f.digest.is_not(None), f.racy.is_(False)
    )
    for root_id, path, size, mtime_ns, digest in db.execute(query):
        share = int.from_bytes(hashlib.sha256(path).digest()[:8]) % parts
        if share == number - 1 and root_id in folders:
            yield os.path.join(folders[root_id], path), size, mtime_ns, digest


def read_files(chosen: Sequence[_Known], progress: Progress) -> Iterator[Finding]:
    """Read the chosen files; findings for those whose bytes have changed or cannot be read."""
    progress.start(len(chosen), "files")
    try:
        for path, size, mtime_ns, digest in chosen:
            problem = _read_file(path, size, mtime_ns, digest)
            if problem:
                yield Finding("file", os.fsdecode(path), problem, False)
            progress.advance(1)
    finally:
        progress.finish()


def _read_file(path: bytes, size: int, mtime_ns: int, digest: bytes) -> str | None:
    """The problem of a file whose size and time have not changed; None if it has none."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if (status.st_size, status.st_mtime_ns) != (size, mtime_ns):
                return None
            found = hashlib.file_digest(file, "sha256").digest()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None  # the next run notices that it is gone
    except OSError as error:
        return f"cannot be read ({error.strerror}); check the disk, or restore it from a backup"
    if found == digest:
        return None
    return (
        "its bytes changed although its size and time did not; restore it from a backup, or if the"
        " new bytes are right, `touch` it and run `align index`"
    )
