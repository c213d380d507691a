"""The third step of a scan: which folders to leave alone, since their disk seems to be away."""

import os
from collections.abc import Collection

from indexer.database.rows import File, Root
from indexer.folders import devices
from indexer.folders.walk import exists, lies_in
from indexer.records import RootState


def folders_away(
    root: Root, known: Collection[File], missing: Collection[File], present: Collection[bytes]
) -> dict[bytes, str]:
    """The folders to leave alone, each with the reason: folders that were mounted below the root,
    or only b"" for the whole root.

    Of all files `known` in the root, the scan looked for some and did not find the `missing` ones.
    `present` are the paths that it found.
    """
    away: dict[bytes, str] = {}
    for folder, device in (*root.mounts, (b"", root.device)):
        missing = [file for file in missing if not lies_in(file.path, away)]
        lacking = [file for file in missing if lies_in(file.path, [folder])]
        if not lacking:
            continue
        nothing = not any(lies_in(path, [folder]) for path in present)
        state = devices.state(root, folder, device, expect_files=nothing)
        expected = [file for file in known if lies_in(file.path, [folder])]
        if state == "ok" and _is_another_disk(root, folder, expected):
            state = "other device"
        if state != "ok":
            away[folder] = _reason(state, lacking, expected)
    return {b"": away[b""]} if b"" in away else away


def _is_another_disk(root: Root, folder: bytes, expected: Collection[File]) -> bool:
    """Whether a mounted folder of a root holds no file that it is expected to hold. The device
    number is no proof: another disk at the same place may have the same number."""
    if not folder and not os.path.ismount(root.path):
        return False
    return not any(exists(root, file.path, unsure=True) for file in expected)


def _reason(state: RootState, lacking: Collection[File], expected: Collection[File]) -> str:
    if state == "empty":
        return f"is empty but the library knows {_count(expected)} in it"
    if state == "other device":
        lacks = f"{_count(lacking)} of the {len(expected):,} that the library knows"
        return f"is on another device than before and lacks {lacks}"
    return "does not exist" if state == "missing" else "cannot be read"


def _count(files: Collection[File]) -> str:
    return f"{len(files):,} file" if len(files) == 1 else f"{len(files):,} files"


def unreadable(root: Root, error: OSError) -> str:
    """Why a root was left alone that exists but cannot be read, and the remedy."""
    return (
        f"{os.fsdecode(root.path)} cannot be read ({error.strerror}); mount or restore it and"
        " run again, nothing of it was deleted"
    )


def sentence(root: Root, folder: bytes, reason: str, known: Collection[File]) -> str:
    """Why a folder of a root, b"" for the root itself, was left alone, and the remedy."""
    path = os.fsdecode(root.at(folder))
    moved = "" if folder else " say where it is now with `align roots move`,"
    loss = "accept the loss with --allow-missing" if known else "let it go with `align forget`"
    return f"{path} {reason}; mount or restore it,{moved} or {loss}; nothing of it was deleted"
