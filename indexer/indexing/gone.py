"""Gone files, whose items move to new files with the same bytes."""

from collections import deque
from collections.abc import Iterable

from indexer.content import Key
from indexer.database import journal
from indexer.database.rows import File
from indexer.folders.scan import Found
from indexer.folders.sources import kind_of


class GoneFiles:
    """The gone files of a run by the bytes that they held. Each gives its items to one new file."""

    def __init__(self, files: Iterable[File] = ()) -> None:
        self._files: dict[Key, deque[File]] = {}
        for file in files:
            if file.digest is not None and not file.failed:
                self._files.setdefault(_key(file.path, file.digest), deque()).append(file)
        self.moved = frozenset(
            digest
            for (kind, digest), same in self._files.items()
            if kind == "image" and not any(file.lacking for file in same)
        )
        """Digests of the pictures whose embeddings move with them: a new file with the same bytes
        need not be decoded."""

    def has_picture(self, found: Found, digest: bytes) -> bool:
        """Whether a new picture with this digest takes the items of a gone one, with their
        embeddings."""
        return (
            _is_new(found, digest) and digest in self.moved and bool(self._files["image", digest])
        )

    def take(self, found: Found, digest: bytes) -> File | None:
        """The gone file whose items go to a new file with this digest; no other file gets them."""
        same = self._files.get(_key(found.path, digest))
        return same.popleft() if same and _is_new(found, digest) else None

    def left(self) -> set[int]:
        """Ids of the files that no new file took."""
        return {file.id for same in self._files.values() for file in same}


def _is_new(found: Found, digest: bytes) -> bool:
    """Whether bytes with this SHA-256 are new at their path, so that a gone file may have had them.

    A file whose items were not all written is not new: an earlier run has taken what it could.
    """
    known = found.known
    return known is None or (known.digest != digest and known.size != journal.UNFINISHED)


def _key(path: bytes, digest: bytes) -> Key:
    return kind_of(path) or "image", digest
