"""Whatever happens to the files, in any order: the library is what a plain dict says."""

import os
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from PIL import Image

from encoder.fake import COLOURS, FakeEncoder
from indexer import IndexReport, Library
from indexer.records import KINDS

Key = tuple[str, bytes | str]
"""Kind, and a picture's bytes or a text: equal for items that may stand for each other."""


def png(colour: str, size: int) -> bytes:
    file = BytesIO()
    Image.new("RGB", (size, size), COLOURS[colour]).save(file, "PNG")
    return file.getvalue()


PICTURES = {png(name, size): name for name in ("red", "green", "blue", "white") for size in (4, 5)}
DIGESTS = {sha256(data).digest(): data for data in PICTURES}
GARBAGE = (b"", b"no picture", next(iter(PICTURES))[:-20])
TEXTS = (b"red", b"green\nred", b"red\n\nred\nsomething", b"a house\nblue", b"", b"\xff")

PLACES = (
    "photos/1.png",
    "photos/a/1.png",
    "photos/a/2.png",
    "photos/b/\u00e9.jpg",
    "other/c/1.png",
)
TEXT_PLACES = ("photos/a/t.txt", "other/t.txt")
SCOPES = ("photos", "photos/a", "photos/b", "other")

pictures, text_places = st.sampled_from(PLACES), st.sampled_from(TEXT_PLACES)
places = st.sampled_from(PLACES + TEXT_PLACES)
bodies = st.sampled_from(tuple(PICTURES) + GARBAGE)
picks = st.integers(0, 20)
words = st.sampled_from(("red", "green blue", "white", "a house", "anything"))


@dataclass(frozen=True)
class File:
    """A file as the library knows it."""

    data: bytes
    items: tuple[tuple[Key, int], ...]
    """Keys and ids, by position."""
    failed: bool


class Mirrored(FakeEncoder):
    """Another model: red is turquoise to it."""

    def __init__(self) -> None:
        super().__init__("mirrored", "d40rr1m")

    def _embed(self, colours):
        return super()._embed([255 - colour for colour in colours])


class Failing(FakeEncoder):
    """Fails at its n-th batch."""

    def __init__(self, model: FakeEncoder, batches: int) -> None:
        super().__init__(model.name, model.fingerprint)
        self.model, self.left = model, batches

    def _embed(self, colours):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.model._embed(colours)


@cache
def empty_library() -> Path:
    """Made once: to migrate takes most of the time an example has."""
    folder = tempfile.TemporaryDirectory()
    Library.create(folder.name).close()
    empty_library.keep = folder
    return Path(folder.name) / ".align"


def kind_of(path: Path) -> str:
    return "text" if path.suffix.lower() == ".txt" else "image"


def keys_of(path: Path, data: bytes) -> list[Key] | None:
    """What is in a file; None where it cannot be read."""
    if kind_of(path) == "image":
        return [("image", data)] if data in PICTURES else None
    try:
        return [("text", line) for line in data.decode().split("\n") if line]
    except UnicodeDecodeError:
        return None


class LibraryMachine(RuleBasedStateMachine):
    """Rules change the files in `disk`, and `check` compares a run of `Library.index` with `held`.

    A further operation on files is a rule that changes both the folder and `disk`; one on the
    library is a rule that calls it and changes `held` to what must be left.
    """

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.photos, self.other = self.folder / "photos", self.folder / "other"
        shutil.copytree(empty_library(), self.photos / ".align")
        for root in (self.photos, self.other):
            for part in "abc":
                (root / part).mkdir(parents=True)
            (root / "keep.md").touch()  # an empty root would be taken for one that is not mounted
        self.disk: dict[Path, bytes] = {}
        self.held: dict[Path, File] = {}
        self.top = 0
        self.time = 10**18
        self.model: FakeEncoder = FakeEncoder()
        self.begun = False
        self.library = Library.open(self.photos)
        self.library.index([self.photos, self.other], self.load)

    def teardown(self) -> None:
        if hasattr(self, "library"):
            self.library.close()
            shutil.rmtree(self.folder)

    def load(self) -> FakeEncoder:
        return self.model

    # What happens to files.

    @rule(place=pictures, data=bodies)
    def write(self, place, data):
        """Add, change, break or mend: in place, so that other links to the file see it too."""
        self.put(self.folder / place, data)

    @rule(place=text_places, data=st.sampled_from(TEXTS))
    def edit(self, place, data):
        self.put(self.folder / place, data)

    def put(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)
        self.disk[path] = data
        for other in self.disk:
            if other.samefile(path):
                self.disk[other] = data
        self.stamp(path)

    def stamp(self, path: Path) -> None:
        """A time that no file had before."""
        self.time += 10**9
        os.utime(path, ns=(self.time, self.time))

    def pick(self, number: int) -> Path:
        return sorted(self.disk)[number % len(self.disk)]

    @rule(place=pictures, data=bodies)
    def write_anew(self, place, data):
        """As most programs save: a new file takes the place of the old one."""
        new = self.folder / "new"
        new.write_bytes(data)
        self.stamp(new)
        new.rename(self.folder / place)
        self.disk[self.folder / place] = data

    @precondition(lambda self: self.disk)
    @rule(number=picks, place=places)
    def rename(self, number, place):
        self.move(self.pick(number), self.folder / place)

    @precondition(lambda self: self.disk)
    @rule(number=picks)
    def change_case(self, number):
        path = self.pick(number)
        self.move(path, path.with_name(path.name.swapcase()))

    def move(self, old: Path, new: Path) -> None:
        # To rename one link of a file to another does nothing at all.
        if kind_of(old) == kind_of(new) and not (new in self.disk and new.samefile(old)):
            old.rename(new)
            self.disk[new] = self.disk.pop(old)

    @precondition(lambda self: self.disk)
    @rule(number=picks, place=places, with_time=st.booleans())
    def copy(self, number, place, with_time):
        old, new = self.pick(number), self.folder / place
        if kind_of(old) == kind_of(new) and not (new in self.disk and new.samefile(old)):
            self.put(new, self.disk[old])
            if with_time:
                shutil.copystat(old, new)

    @precondition(lambda self: self.disk)
    @rule(number=picks, place=places)
    def link(self, number, place):
        old, new = self.pick(number), self.folder / place
        if kind_of(old) == kind_of(new) and new not in self.disk:
            os.link(old, new)
            self.disk[new] = self.disk[old]

    @precondition(lambda self: self.disk)
    @rule(number=picks)
    def delete(self, number):
        path = self.pick(number)
        path.unlink()
        del self.disk[path]

    @precondition(lambda self: self.disk)
    @rule(number=picks)
    def touch(self, number):
        self.stamp(self.pick(number))

    # What is done to the library.

    @rule(batch_size=st.sampled_from((1, 3, 1000)))
    def index_everything(self, batch_size):
        report = self.library.index([], self.load, batch_size=batch_size)
        self.check(report, None)
        if batch_size == 1000:
            assert report.embedded == len(self.fresh)

    @rule(scope=st.sampled_from(SCOPES))
    def index_part(self, scope):
        report = self.library.index([self.folder / scope], self.load)
        self.check(report, self.folder / scope)
        assert report.embedded == len(self.fresh)

    @precondition(lambda self: self.disk)
    @rule(number=picks)
    def index_file(self, number):
        """Texts are watched only once they were named so."""
        path = self.pick(number)
        report = self.library.index([path], self.load)
        self.check(report, path)
        assert report.embedded == len(self.fresh)

    @rule(batches=st.integers(0, 3), batch_size=st.integers(1, 3), reembed=st.booleans())
    def index_after_an_interruption(self, batches, batch_size, reembed):
        encoder = Failing(self.another() if reembed else self.model, batches)
        try:
            self.library.index([], lambda: encoder, reembed=reembed, batch_size=batch_size)
        except KeyboardInterrupt:
            self.begun |= reembed
        else:
            self.begun &= not reembed
        used = self.library.model
        if used and used.fingerprint == encoder.fingerprint:  # maybe only publishing was left
            self.model = encoder.model
        self.check(self.library.index([], self.load), None, interrupted=True)

    @rule()
    def reembed(self):
        self.model = self.another()
        report = self.library.index([], self.load, reembed=True)
        self.check(report, None)
        everything = {key for file in self.held.values() for key, _ in file.items}
        if not self.begun:  # else a part of it was done before an interruption
            assert report.embedded == len(everything)
        self.begun = False

    def another(self) -> FakeEncoder:
        return FakeEncoder() if isinstance(self.model, Mirrored) else Mirrored()

    @rule(layout=st.sampled_from(("flat", "ivf")), recall=st.sampled_from((0.5, 1.0)))
    def rebuild(self, layout, recall):
        self.library.rebuild(self.load, layout=layout, target_recall=recall)

    @rule()
    def reopen(self):
        self.library.close()
        self.library = Library.open(self.photos)

    @rule(kind=st.sampled_from(KINDS), words=words, k=st.integers(0, 12), exclude=st.sets(picks))
    def search(self, kind, words, k, exclude):
        live = sorted(id for file in self.held.values() for _, id in file.items)
        chosen = {live[number % len(live)] for number in exclude} if live else set()
        self.compare(kind, words, k, frozenset(chosen))

    @invariant()
    def everything_is_found(self):
        for kind in KINDS:
            self.compare(kind, "red", 1000)

    # What must be true.

    def compare(self, kind, words, k, exclude=frozenset()):
        """A search with the slow way: every item of `held` times the query, sorted."""
        query = self.model.encode_texts([words])[0]
        live = {id: key for f in self.held.values() for key, id in f.items if key[0] == kind}
        exact = {id: self.score(key, query) for id, key in live.items() if id not in exclude}
        best = sorted(exact, key=lambda id: (-exact[id], id))
        found = self.library.search(query, k, kind=kind, exclude=exclude)
        ids, scores = found.ids.tolist(), found.scores.tolist()
        assert scores == [exact[id] for id in ids]
        assert found.degraded is None
        head = next((g for g in self.library.status().generations if g.kind == kind), None)
        if head is None or head.nprobe == head.nlist:
            assert ids == best[:k]
        else:
            assert ids == [id for id in best if id in set(ids)]
            assert len(ids) == min(k, len(best))

    def score(self, key: Key, query: np.ndarray) -> float:
        described = PICTURES[key[1]] if key[0] == "image" else key[1]
        row = self.model.encode_texts([described]).astype("<f2").astype(np.float64)
        return float(np.einsum("nd,d->n", row, query.astype(np.float64)).astype(np.float32)[0])

    def items(self) -> dict[Path, tuple[tuple[Key, int], ...]]:
        """Everything in the library, as it tells itself."""
        query = self.model.encode_texts(["red"])[0]
        ids = [id for kind in KINDS for id in self.library.search(query, 1000, kind=kind).ids]
        assert sum(self.library.status().counts.values()) == len(ids)
        found: dict[Path, list[tuple[int, Key, int]]] = {}
        for item in self.library.items(ids):
            data = item.text if item.kind == "text" else DIGESTS[item.digest]
            found.setdefault(item.path, []).append((item.position, (item.kind, data), item.id))
        return {
            path: tuple((key, id) for _, key, id in sorted(rows)) for path, rows in found.items()
        }

    def check(self, report: IndexReport, scope: Path | None, *, interrupted=False) -> None:
        """A run that was to look at everything, or at `scope`: takes it into `held`, and what was
        not there before into `fresh`. `interrupted`: a run before it already did a part.
        """

        def inside(path):
            return scope is None or path == scope or scope in path.parents

        def order(path):  # in which files are looked at: decides who takes over whose items
            return self.other in path.parents, os.fsencode(path)

        before, top = self.held, self.top
        looked = [
            path
            for path in sorted(self.disk, key=order)
            if inside(path) and (kind_of(path) == "image" or path in before or path == scope)
        ]
        gone = [p for p in sorted(before, key=order) if inside(p) and p not in self.disk]
        orphans: dict[tuple[str, bytes], list[File]] = {}
        for path in gone:
            if not before[path].failed:
                orphans.setdefault((kind_of(path), before[path].data), []).append(before[path])

        found = self.items()
        after = {path: file for path, file in before.items() if not inside(path)}
        for path in looked:
            data, keys = self.disk[path], keys_of(path, self.disk[path])
            now = found.get(path, ())
            assert [key for key, _ in now] == (keys or []), path
            old = before[path].items if path in before else ()
            if path not in before or before[path].data != data:
                if keys is not None and (waiting := orphans.get((kind_of(path), data))):
                    old += waiting.pop(0).items
                self.check_ids(now, old, top)
            else:
                assert set(now) == set(old), path
            after[path] = File(data, now, keys is None)
        assert found == {path: file.items for path, file in after.items() if file.items}
        ids = [id for file in after.values() for _, id in file.items]
        assert len(set(ids)) == len(ids)
        assert {failure.path for failure in self.library.failures()} == {
            path for path, file in after.items() if file.failed
        }

        items_before = [item for path, f in before.items() if inside(path) for item in f.items]
        items_after = [item for path in looked for item in after[path].items]
        stayed = report.unchanged + report.moved + report.changed
        assert stayed + report.added + report.copied == len(items_after)
        if not interrupted:
            assert stayed + report.deleted == len(items_before)
        known = {key for file in before.values() for key, _ in file.items}
        self.fresh = {key for key, id in items_after if id > top} - known

        self.held, self.top = after, max([top, *ids])
        again = self.library.index([scope] if scope else [], self.must_not_load)
        assert replace(again, seconds=0, failed=0) == IndexReport(unchanged=len(items_after))

    @staticmethod
    def check_ids(now, old, top: int) -> None:
        """As many items as can keep their id do; other ids are new."""
        were = Counter(key for key, _ in old)
        for key, count in Counter(key for key, _ in now).items():
            kept = {id for of, id in now if of == key and id <= top}
            assert kept <= {id for of, id in old if of == key}
            assert len(kept) == min(count, were[key])

    @staticmethod
    def must_not_load():
        raise AssertionError("the encoder was asked for although nothing had to be embedded")


@pytest.mark.parametrize(
    ("examples", "steps"), [(12, 25), pytest.param(100, 60, marks=pytest.mark.slow)]
)
def test_the_library_is_what_a_dict_says(monkeypatch, examples, steps):
    monkeypatch.setattr("indexer.layout.SAMPLE_PER_LIST", 2)  # lists for a handful of items
    monkeypatch.setattr("indexer.generations._WORTHWHILE", 0.6)  # and a delta beside the index
    run_state_machine_as_test(
        LibraryMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
