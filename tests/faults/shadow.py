"""What a library must hold, as plain dicts, for `test_state_machine` to compare with."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from hashlib import sha256
from io import BytesIO
from pathlib import Path, PurePath

from PIL import Image

from encoder.fake import COLOURS
from indexer import RootStatus

Key = tuple[str, bytes | str]
"""Kind, and a picture's bytes or a text. Items with equal keys may replace each other."""
Place = PurePath
"""The name of a root and a path in it, such as ``photos/a/1.png``, wherever the root is now."""
Value = float | str


def png(colour: str, size: int) -> bytes:
    file = BytesIO()
    Image.new("RGB", (size, size), COLOURS[colour]).save(file, "PNG")
    return file.getvalue()


PICTURES = {png(name, size): name for name in ("red", "green", "blue", "white") for size in (4, 5)}
DIGESTS = {sha256(data).digest(): data for data in PICTURES}
GARBAGE = (b"", b"no picture", next(iter(PICTURES))[:-20])
TEXTS = (b"red", b"green\nred", b"red\n\nred\nsomething", b"a house\nblue", b"", b"\xff")
OBJECTS: dict[bytes, tuple[str | None, dict[str, Value]] | None] = {
    b'{"n": 1, "m": "boat"}': (None, {"n": 1.0, "m": "boat"}),
    b'{"n": "2", "caption": " a boat "}': ("a boat", {"n": "2"}),
    b'{"n": 3, "text": "a house", "m": [1]}': ("a house", {"n": 3.0, "m": 1.0}),
    b"no JSON": None,
    b"": None,
}
"""Caption and fields by the content of a JSON file; None where it is not read."""


@dataclass(frozen=True)
class File:
    """A file as the library knows it."""

    data: bytes
    items: tuple[tuple[Key, int], ...]
    """Keys and ids, by position."""
    failed: bool
    stamp: tuple[object, ...]
    """Which sidecars it had, with their sizes and times."""
    caption: str | None
    fields: dict[str, Value]
    """The fields in the sidecars."""


@dataclass
class Root:
    """A watched folder."""

    home: Path
    """Where the library expects it."""
    exclude: tuple[str, ...] = ()

    def leaves_out(self, place: Place) -> bool:
        """Whether a glob matches the path, or a folder above it."""
        parts = place.parts[1:]
        return any(
            fnmatchcase("/".join(parts[: n + 1]), glob.removeprefix("/"))
            if "/" in glob
            else fnmatchcase(parts[n], glob)
            for n in range(len(parts))
            for glob in self.exclude
        )


@dataclass
class Look:
    """What a run finds."""

    files: list[Place] = field(default_factory=list)
    gone: list[Place] = field(default_factory=list)
    """Known before, and now removed or excluded."""
    unavailable: list[Path] = field(default_factory=list)
    """Roots that the run leaves alone."""


def kind_of(place: Place) -> str:
    return {".txt": "text", ".json": "object"}.get(place.suffix.lower(), "image")


def keys_of(place: Place, data: bytes) -> list[Key] | None:
    """The keys of a file's items; None where the file cannot be read."""
    if kind_of(place) == "image":
        return [("image", data)] if data in PICTURES else None
    try:
        return [("text", line) for line in data.decode().split("\n") if line]
    except UnicodeDecodeError:
        return None


def within(place: Place, scope: Place | None) -> bool:
    return scope is None or place == scope or scope in place.parents


@dataclass
class Shadow:
    """The dicts. Every operation changes them as it changes the files and the library."""

    seats: dict[str, Path]
    """Where each folder is, by name."""
    roots: dict[str, Root] = field(default_factory=dict)
    """Watched folders, the one watched first coming first."""
    disk: dict[Place, bytes] = field(default_factory=dict)
    held: dict[Place, File] = field(default_factory=dict)
    """Files that the library knows."""
    annotated: dict[Key, dict[str, Value]] = field(default_factory=dict)
    """Fields by key: they belong to the bytes, and stay until the last copy is forgotten."""

    def path(self, place: Place) -> Path:
        """Where a file or folder is."""
        return self.seats[place.parts[0]].joinpath(*place.parts[1:])

    def known_path(self, place: Place) -> Path:
        """Where the library expects it."""
        root = self.roots.get(place.parts[0])
        return root.home.joinpath(*place.parts[1:]) if root else self.path(place)

    def place(self, known_path: Path) -> Place:
        name, home = next(
            (name, root.home)
            for name, root in self.roots.items()
            if known_path.is_relative_to(root.home)
        )
        return PurePath(name, known_path.relative_to(home))

    def is_away(self, name: str) -> bool:
        return self.roots[name].home != self.seats[name]

    def statuses(self) -> list[RootStatus]:
        known = [place.parts[0] for place in self.held]
        return [
            RootStatus(root.home, True, known.count(name), self._state(name), exclude=root.exclude)
            for name, root in self.roots.items()
        ]

    def _state(self, name):
        if not self.is_away(name):
            return "ok"
        if not self.roots[name].home.is_dir():
            return "missing"
        return "empty" if any(place.parts[0] == name for place in self.held) else "ok"

    def items(self) -> Iterator[tuple[int, Key, Place]]:
        for place, file in self.held.items():
            for key, id in file.items:
                yield id, key, place

    def fields(self, key: Key, place: Place) -> dict[str, Value]:
        """Fields of an item. An annotation wins over a sidecar."""
        return self.held[place].fields | self.annotated.get(key, {})

    def in_order(self, places: Iterable[Place]) -> list[Place]:
        """The order in which runs look at files. It decides which file takes over which items."""
        names = list(self.roots)
        return sorted(places, key=lambda p: (names.index(p.parts[0]), os.fsencode(p)))

    def look(self, scope: Place | None, *, allow_missing: bool) -> Look:
        """What a run over `scope`, or over everything, must find. It looks at a file of texts only
        if the file is known or named."""
        look = Look()
        for name, root in self.roots.items():
            here = PurePath(name)
            if scope is not None and scope.parts[0] != name:
                continue
            known = [place for place in self.held if within(place, here) and within(place, scope)]
            if self.is_away(name):
                missing = [place for place in known if not root.leaves_out(place)]
                if not allow_missing and (missing or not root.home.is_dir()):
                    look.unavailable.append(root.home)
                else:
                    look.gone += known
                continue
            seen = {
                place
                for place in self.disk
                if within(place, here) and within(place, scope) and not root.leaves_out(place)
                if kind_of(place) == "image" or place in self.held or place == scope
            }
            look.files += seen
            look.gone += [place for place in known if place not in seen]
        return Look(self.in_order(look.files), self.in_order(look.gone), look.unavailable)

    def read(self, place: Place, items: tuple[tuple[Key, int], ...]) -> File:
        """A file as a run that reads it now must record it."""
        data = self.disk[place]
        failed = keys_of(place, data) is None
        if kind_of(place) != "image":
            return File(data, items, failed, (), None, {})
        texts = list(self._beside(place, ".txt"))[:1]
        objects = list(self._beside(place, ".json"))
        read = [said for _, other in objects if (said := OBJECTS[self.disk[other]]) is not None]
        caption, fields = read[0] if read else (None, {})
        for _, other in texts:
            caption = self.disk[other].decode(errors="ignore").strip() or caption
        stamp = []
        for rank, other in texts + objects:
            status = self.path(other).stat()
            stamp.append((rank, other.suffix.lower(), status.st_size, status.st_mtime_ns))
        return File(data, items, failed, tuple(stamp), caption, fields)

    def _beside(self, place: Place, ending: str) -> Iterator[tuple[int, Place]]:
        """Sidecars of a picture with `ending`, each with the rank of its name. Case matters only
        where names differ in nothing else."""
        for rank, name in enumerate((place.name + ending, place.stem + ending)):
            wanted = place.with_name(name)
            seen = [
                other
                for other in self.disk
                if other.parent == place.parent and other.name.lower() == name.lower()
                if not self.roots[place.parts[0]].leaves_out(other)
            ]
            if seen:
                yield rank, wanted if wanted in seen else min(seen)

    def globs(self, scope: Place | None, exclude: tuple[str, ...] | None) -> dict[str, Root]:
        """The roots after a run over `scope` with `exclude`. A forgotten path that is named is
        wanted back."""
        roots = dict(self.roots)
        for name, root in self.roots.items():
            if scope is None or scope.parts[0] == name:
                wanted = literal(scope) if scope else None
                globs = root.exclude if exclude is None else exclude
                kept = tuple(dict.fromkeys(glob for glob in globs if glob != wanted))
                roots[name] = Root(root.home, kept)
        return roots

    def left_out(self) -> set[Place]:
        """Files and folders in a root that are excluded by their own paths."""
        named = {
            PurePath(name + glob)
            for name, root in self.roots.items()
            for glob in root.exclude
            if glob.startswith("/")
        }
        return {place for place in named if self.path(place).exists()}

    def forget(self, places: Iterable[Place]) -> tuple[int, set[str], set[Place]] | None:
        """Forget `places`. Returns how many items go, which roots go, and what is excluded from now
        on. Returns None and changes nothing where nothing is known at one of the places."""
        known = {place: [p for p in self.held if within(p, place)] for place in places}
        if any(not (files or place in map(PurePath, self.roots)) for place, files in known.items()):
            return None
        gone = {file: self.held[file] for files in known.values() for file in files}
        roots, excluded = set[str](), set[Place]()
        for place in sorted(known):
            name = place.parts[0]
            if PurePath(name) in known:
                roots.add(name)
                continue
            # While a root is away, anything in it may come back.
            returns = self.is_away(name) or self.path(place).exists()
            root = self.roots[name]
            if returns and kind_of(place) != "text" and not root.leaves_out(place):
                self.roots[name] = Root(root.home, (*root.exclude, literal(place)))
                excluded.add(place)
        self.held = {place: file for place, file in self.held.items() if place not in gone}
        left = {key for _, key, _ in self.items()}
        for key in {key for file in gone.values() for key, _ in file.items} - left:
            self.annotated.pop(key, None)
        self.roots = {name: root for name, root in self.roots.items() if name not in roots}
        return sum(len(file.items) for file in gone.values()), roots, excluded


def literal(place: Place) -> str:
    """The glob that matches one place."""
    return "/" + "/".join(place.parts[1:])
