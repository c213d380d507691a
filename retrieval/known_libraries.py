"""The libraries that this user has filled: a folder that one of them watches finds it, wherever it
lies."""

from contextlib import suppress
from pathlib import Path

from indexer import Library, LibraryError
from retrieval import user_lists
from retrieval.trust import is_trusted

_NAME = "libraries"


def known() -> list[Path]:
    """Their ``.align`` directories, the one used last coming last. Raises OSError."""
    return user_lists.read(_NAME)


def remember(directory: Path) -> None:
    """Put a library into the list. A list that cannot be written is no reason to fail."""
    with suppress(OSError):
        if (before := known())[-1:] != [directory]:
            user_lists.write(_NAME, [*(path for path in before if path != directory), directory])


def drop(directory: Path) -> bool:
    """Take a library off the list; returns whether it was there. Raises OSError."""
    before = known()
    user_lists.write(_NAME, [path for path in before if path != directory])
    return directory in before


def watching(path: Path) -> list[Path]:
    """The known libraries that watch `path` or a folder above it. Those that cannot be opened now
    are left out."""
    found = []
    with suppress(OSError):
        for directory in known():
            with suppress(OSError, LibraryError):
                if is_trusted(directory):
                    with Library.open(directory) as library:
                        if library.watches(path):
                            found.append(directory)
    return found
