"""Names of files as commands print them: for people, for a shell, for other programs."""

import os
import re
import shlex
import sys
from pathlib import Path

_UNSHOWN = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069\\udc80-\\udcff]"
)
"""Control characters, marks that turn the direction of writing, and bytes that are not UTF-8."""


def printable(text: str) -> str:
    """`text` on one line and harmless to a terminal: what it must not show is escaped as in
    Python."""
    return _UNSHOWN.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def shown(path: str | os.PathLike[str]) -> str:
    """A path for people; on a terminal it is relative if it lies in the current folder."""
    return printable(os.fspath(_from_here(path)))


def whole(path: str | os.PathLike[str]) -> str:
    """A path for people, wherever they are."""
    return printable(os.fspath(path))


def raw(path: str | os.PathLike[str]) -> bytes:
    """A path for other programs, in its own bytes; on a terminal as in `shown`."""
    return shown(path).encode() if sys.stdout.isatty() else os.fsencode(path)


def pasteable(path: str | os.PathLike[str]) -> str:
    """A path as a shell takes it."""
    text = os.fspath(path)
    if printable(text) == text:
        return shlex.quote(text)
    escaped = printable(text.replace("\\", "\\\\").replace("'", "\\'"))
    return f"$'{escaped}'"


def _from_here(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    if not sys.stdout.isatty():
        return path
    try:
        return Path(path).relative_to(Path.cwd())
    except (ValueError, OSError):
        return path
