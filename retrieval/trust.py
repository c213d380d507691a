"""Whose a library is, and whether this user trusts it.

A library that somebody else has laid above the current folder must not make a program do what its
owner wants, as `git` has it with ``safe.directory``.
"""

import os
from pathlib import Path
from shlex import quote

from indexer import UntrustedLibrary
from retrieval import user_lists

DATABASE = "library.db"
_TRUSTED = "trusted"


def is_own(directory: Path) -> bool:
    """Whether the ``.align`` directory and the database in it belong to this user; under sudo, also
    to the one who called it."""
    own = {os.geteuid()}
    caller = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and caller.isdecimal():
        own.add(int(caller))
    owners = {path.stat().st_uid for path in (directory, directory / DATABASE) if path.exists()}
    return owners <= own


def is_trusted(directory: Path) -> bool:
    """Whether the library is this user's own, or one that `trust` was told of."""
    return is_own(directory) or directory.resolve() in trusted()


def trusted() -> list[Path]:
    """The ``.align`` directories that this user trusts although they may be somebody else's."""
    return user_lists.read(_TRUSTED)


def trust(directory: Path) -> None:
    """Trust a library from now on. Raises OSError."""
    user_lists.write(_TRUSTED, [*trusted(), directory.resolve()])


def distrust(directory: Path) -> bool:
    """No longer trust a library; returns whether it was trusted. Raises OSError."""
    before = trusted()
    user_lists.write(_TRUSTED, [path for path in before if path != directory.resolve()])
    return directory.resolve() in before


def require_trust(directory: Path) -> None:
    """For a library that nobody named. Raises UntrustedLibrary."""
    if not is_trusted(directory):
        folder = quote(str(directory.parent))
        raise UntrustedLibrary(
            f"the library in {directory.parent} belongs to another user, so it is not used without"
            f" being asked for: name it with --library {folder}, or trust it for good with `align"
            f" trust {folder}`"
        )


def require_trusted_model(directory: Path, name: str) -> None:
    """For a model that nobody named but the library. Raises UntrustedLibrary unless the model comes
    with this program, or the library is trusted."""
    if is_trusted(directory):
        return
    from encoder.bundled import BUNDLED

    if name not in BUNDLED:
        folder = directory.parent
        raise UntrustedLibrary(
            f"the library in {folder} belongs to another user and says that its model is {name}:"
            f" name the model with --model if you know it, or trust the library with `align trust"
            f" {quote(str(folder))}`"
        )
