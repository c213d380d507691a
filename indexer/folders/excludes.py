"""What a root leaves out, as globs.

A glob with a "/" is matched against the path relative to the root, where ``*`` crosses "/" too; one
without against the name alone. Upper and lower case differ. What lies in a folder that matches is
left out with it. The form of accents does not matter.
"""

import fnmatch
import glob
import os
import re
from collections.abc import Iterable

from indexer.values import nfc, nfc_path

_ESCAPED = re.compile(r"\[([*?[])\]")


def normalised(globs: Iterable[str]) -> tuple[str, ...]:
    """As a root remembers them: once each, without empty ones and without a "/" at the end."""
    return tuple(dict.fromkeys(kept for given in globs if (kept := given.rstrip("/"))))


def literal(path: bytes) -> str:
    """The glob of nothing but `path`, relative to the root."""
    return "/" + glob.escape(os.fsdecode(path))


def _literal_path(one: str) -> bytes | None:
    """The path that a glob of `literal` stands for; None for any other glob."""
    try:
        path = os.fsencode(_ESCAPED.sub(r"\1", one)[1:])
    except UnicodeEncodeError:  # half a surrogate pair, which no path has
        return None
    return path if literal(path) == one else None


def below(globs: Iterable[str], folder: bytes) -> tuple[str, ...]:
    """Globs of the root `folder`, as the root around it must say them; `folder` is relative."""
    inside = literal(folder)
    return tuple(
        moved
        for one in globs
        for moved in (
            [f"{inside}/{one.lstrip('/')}"]
            if "/" in one
            else [f"{inside}/{one}", f"{inside}/*/{one}"]
        )
    )


class Excludes:
    """Globs, ready to be matched."""

    def __init__(self, globs: Iterable[str]) -> None:
        self._globs = tuple(globs)
        composed = [nfc(one) for one in self._globs]
        paths = [one for one in composed if "/" in one]
        # Thousands of forgotten files are paths to look up, not patterns to try.
        self._literal = {path for one in paths if (path := _literal_path(one)) is not None}
        self._names = _either(one for one in composed if "/" not in one)
        self._paths = _either(one.removeprefix("/") for one in paths if _literal_path(one) is None)

    def match(self, path: bytes) -> bool:
        """Whether a glob matches `path`, relative to the root, itself."""
        if not self._globs:
            return False
        names, paths = self._names, self._paths
        path = nfc_path(path)
        return path in self._literal or bool(
            (names and names.match(os.fsdecode(os.path.basename(path))))
            or (paths and paths.match(os.fsdecode(path)))
        )

    def cover(self, path: bytes) -> bool:
        """Whether a glob matches `path` or a folder it lies in."""
        while path and self._globs:
            if self.match(path):
                return True
            path = os.path.dirname(path)
        return False


def _either(globs: Iterable[str]) -> re.Pattern[str] | None:
    patterns = [fnmatch.translate(one) for one in globs]
    return re.compile("|".join(patterns)) if patterns else None
