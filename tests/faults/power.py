"""A disk that forgets: what a recorded process may leave behind when the power fails."""

import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

RECORDING = ("-xx", "-s", "10000000")
"""Options of strace: all bytes, all of them in hexadecimal."""

SECTOR = 512
"""Bytes that a disk writes as a whole or not at all."""

_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)")
_STRING = re.compile(r'"((?:\\x..)*)"')
_HANDLE = re.compile(r"(\d+)<((?:\\x..)*)")

Chance = Callable[[], float]
"""Draws a number in [0, 1). A low one keeps a change that was not synced; a high one loses it."""


@dataclass
class File:
    """Bytes that are surely on the disk, and later changes, in order, that may be."""

    durable: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """(offset, data) of a write; (size, None) of a truncation."""

    def sync(self) -> None:
        """Make all changes durable."""
        self.durable, self.pending = self.image(lambda: 0.0), []

    def image(self, chance: Chance) -> bytes:
        """The bytes that may be found after a power loss."""
        data = bytearray(self.durable)
        for offset, written in self.pending:
            luck = chance()
            if written is None:
                if luck < 0.5:
                    _resize(data, offset)
            elif luck < 1 / 3:
                _put(data, offset, written)
            elif luck < 2 / 3:
                for start, piece in _sectors(offset, written):
                    if chance() < 0.5:
                        _put(data, start, piece)
        return bytes(data)


def _resize(data: bytearray, size: int) -> None:
    data[size:] = bytes(max(0, size - len(data)))


def _put(data: bytearray, offset: int, written: bytes) -> None:
    _resize(data, max(len(data), offset))
    data[offset : offset + len(written)] = written


def _sectors(offset: int, written: bytes) -> Iterator[tuple[int, bytes]]:
    while written:
        room = SECTOR - offset % SECTOR
        yield offset, written[:room]
        offset, written = offset + room, written[room:]


class Folder:
    """A folder. What is in it is known by the paths in `Names`."""


Names = dict[str, File | Folder | None]
"""Absolute paths and what they name; None where the name was removed."""


class Disk:
    """A folder with its content: as a running process sees it, and as it is surely kept."""

    def __init__(self, folder: Path) -> None:
        """What is there now counts as kept; `folder` itself need not exist yet."""
        self.committed = 0
        """How many files the process reported as committed."""
        self._folder = str(folder)
        self._kept: Names = {
            str(path): Folder() if path.is_dir() else File(path.read_bytes())
            for path in ([folder, *folder.rglob("*")] if folder.exists() else [])
        }
        self._seen = dict(self._kept)
        self._pending: list[Names] = []
        """Changes of names, in order, that are not durable yet."""
        self._open: dict[int, tuple[File, int]] = {}
        """Files and positions by descriptor."""

    def repeat(self, line: str) -> None:
        """Repeat what a recorded system call did."""
        matched = _CALL.match(line)
        if not matched or int(matched[3]) < 0:
            return
        call, arguments, result = matched[1], matched[2], int(matched[3])
        strings = [_decoded(text) for text in _STRING.findall(arguments)]
        if "write" in call:
            strings[0] = strings[0][:result]
        handle = _HANDLE.match(arguments)
        if call in ("openat", "mkdir", "unlink", "rename"):
            paths = [os.fsdecode(string) for string in strings]
            if self._is_ours(paths[0]):
                self._name(call, paths, arguments, result)
        elif handle:
            fd, path = int(handle[1]), os.fsdecode(_decoded(handle[2]))
            if self._is_ours(path) or path == os.path.dirname(self._folder):
                numbers = [int(number) for number in re.findall(r", (\d+)", arguments)]
                self._change(call, fd, path, strings, numbers)
            elif fd == 1 and (said := re.match(rb"committed (\d+)", strings[0])):
                self.committed += int(said[1])
        elif not (call == "open" and "O_RDONLY" in arguments):  # which no code of ours calls
            raise AssertionError(f"this call is not simulated: {line[:200]}")

    def _is_ours(self, path: str) -> bool:
        if path.endswith("-shm"):  # useless after a crash
            return False
        return path == self._folder or path.startswith(f"{self._folder}/")

    def _name(self, call: str, paths: list[str], arguments: str, result: int) -> None:
        path = paths[0]
        if call == "openat":
            if path not in self._seen and "O_CREAT" in arguments:
                self._rename({path: File()})
            found = self._seen[path]
            if isinstance(found, File):
                self._open[result] = found, 0
                if "O_TRUNC" in arguments:
                    found.pending.append((0, None))
        elif call == "mkdir":
            self._rename({path: Folder()})
        elif call == "unlink":
            self._rename({path: None})
        else:
            self._rename({path: None, paths[1]: self._seen[path]})

    def _rename(self, names: Names) -> None:
        self._seen = {path: it for path, it in (self._seen | names).items() if it is not None}
        self._pending.append(names)

    def _change(
        self, call: str, fd: int, path: str, strings: list[bytes], numbers: list[int]
    ) -> None:
        if call in ("fsync", "fdatasync"):
            found = self._seen.get(path)
            if isinstance(found, File):
                found.sync()
            else:
                self._sync_names(path)
            return
        file, position = self._open[fd]
        if call == "write":
            file.pending.append((position, strings[0]))
            self._open[fd] = file, position + len(strings[0])
        elif call == "pwrite64":
            file.pending.append((numbers[-1], strings[0]))
        elif call == "ftruncate":
            file.pending.append((numbers[-1], None))
        else:
            raise AssertionError(f"{call} is not simulated")

    def _sync_names(self, folder: str) -> None:
        rest = []
        for names in self._pending:
            if all(os.path.dirname(path) == folder for path in names):
                self._kept |= names
            else:
                rest.append(names)
        self._pending = rest

    def write(self, target: Path, chance: Chance) -> None:
        """Write to `target` what may be found of the folder if the power fails now."""
        names = dict(self._kept)
        for change in self._pending:
            if chance() < 0.5:
                names |= change
        for path in sorted(names):  # a folder comes before its content
            found, place = names[path], target / os.path.relpath(path, self._folder)
            if place.parent.is_dir():
                if isinstance(found, Folder):
                    place.mkdir(exist_ok=True)
                elif isinstance(found, File):
                    place.write_bytes(found.image(chance))


def _decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


KEPT, LOST = "all that was written is there", "nothing is there that was not synced"

FATES: dict[str, Chance] = {KEPT: lambda: 0.0, LOST: lambda: 0.9}
"""What happens to the changes that were not synced."""


def fate(seed: int) -> Chance:
    """Each change on its own is kept, torn or lost."""
    return random.Random(seed).random
