"""The devices that a root lies on: its own, and those that are mounted below it."""

import os
from collections.abc import Iterable

from indexer.database.rows import Mounts, Root
from indexer.folders.walk import holds_any_file
from indexer.records import RootState


def state(root: Root, part: bytes, device: int | None, *, expect_files: bool) -> RootState:
    """The state of the folder `part` of a root, b"" for the root itself.

    `device` is the number of the device that the folder was on before; None accepts any device. The
    folder counts as empty only if `expect_files`.
    """
    try:
        os.scandir(root.at(part)).close()
        now = device_of(root, part)
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except OSError:
        return "unreadable"
    if expect_files and not holds_any_file(root, part):
        return "empty"
    return "ok" if device in (None, now) else "other device"


def device_of(root: Root, part: bytes) -> int:
    """The number of the device that holds the folder `part` of a root."""
    follow = root.follow_symlinks or not part
    return os.stat(root.at(part), follow_symlinks=follow).st_dev


def mounts_above(root: Root, paths: Iterable[bytes]) -> Mounts:
    """The mounts among the folders that hold `paths`, sorted: folders of a root that are on another
    device than the folder above them."""
    folders, level = {b""}, {os.path.dirname(path) for path in paths}
    while level:
        folders |= level
        level = {os.path.dirname(folder) for folder in level} - folders
    devices: dict[bytes, int | None] = {}
    for folder in folders:
        try:
            devices[folder] = device_of(root, folder)
        except OSError:  # it vanished since the walk
            devices[folder] = None
    return tuple(
        (folder, device)
        for folder, device in sorted(devices.items())
        if device not in (None, devices[os.path.dirname(folder)])
    )
