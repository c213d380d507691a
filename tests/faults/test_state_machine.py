"""Whatever happens to the files and the library, in any order, the library equals plain dicts."""

import os
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path, PurePath
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from encoder.fake import FakeEncoder
from encoder.pictures.decoders import Decoders
from indexer import (
    AnnotationReport,
    IndexReport,
    Library,
    Repair,
    SourceExcluded,
    SourceNotFound,
    UnknownPath,
)
from indexer.records import KINDS
from tests.faults.comparison import TESTS, Comparison, Failing, empty_library
from tests.faults.shadow import (
    GARBAGE,
    OBJECTS,
    PICTURES,
    TEXTS,
    Place,
    Root,
    Shadow,
    Value,
    kind_of,
)


def sampled(*names: str) -> st.SearchStrategy[Place]:
    return st.sampled_from([PurePath(name) for name in names])


picture_places = sampled(
    "photos/1.png", "photos/a/1.png", "photos/a/2.png", "photos/b/\u00e9.jpg", "other/c/1.png"
)
text_places = sampled("photos/a/1.txt", "photos/a/2.png.txt", "other/t.txt", "other/c/1.txt")
object_places = sampled("photos/a/1.json", "photos/a/1.png.json", "other/c/1.json")
places = picture_places | text_places | object_places
scopes = sampled("photos", "photos/a", "photos/b", "other", "other/c")
bodies = st.sampled_from(tuple(PICTURES) + GARBAGE)
picks = st.integers(0, 20)
words = st.sampled_from(("red", "green blue", "white", "a house", "anything"))
globs = st.none() | st.lists(
    st.sampled_from(("a", "/a", "/1.png", "*/1.*", "?.png", "*.txt", "*.json")), max_size=2
).map(tuple)
cells: dict[str, Value] = {"1": 1.0, "2": 2.0, "boat": "boat"}


class LibraryMachine(Comparison):
    """Rules change the files, the library and the dicts of `shadow` alike. After every step
    `agrees` compares the library with the dicts.

    `check` tests what a run has done, and takes the ids of new items from the library.
    """

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp()).resolve()
        self.shadow = Shadow({name: self.folder / name for name in ("photos", "other")})
        self.disk = self.shadow.disk
        for seat in self.shadow.seats.values():
            for part in "abc":
                (seat / part).mkdir(parents=True)
            (seat / "keep.md").touch()  # an empty root would count as not mounted
        shutil.copytree(empty_library(), self.folder / "photos/.align")
        self.top = 0
        self.time = 10**18
        self.model: FakeEncoder = FakeEncoder()
        self.begun = False
        self.library = Library.open(self.folder / "photos")
        red, green, *_ = PICTURES
        for name, data in {
            "photos/1.png": red,
            "photos/a/1.png": green,
            "photos/a/1.txt": TEXTS[3],
            "photos/a/1.json": next(iter(OBJECTS)),
            "other/t.txt": TEXTS[1],
            "other/c/1.png": red,
            "other/c/1.txt": TEXTS[0],
        }.items():
            self.put(PurePath(name), data)
        for name in ("photos", "other", "other/t.txt"):
            self.run_over(PurePath(name))

    def teardown(self) -> None:
        if hasattr(self, "library"):
            self.library.close()
            shutil.rmtree(self.folder)

    # Rules for files.

    @rule(place=picture_places, data=bodies)
    def write(self, place, data):
        """Add, change, break or repair a file in place, so that all its links change."""
        self.put(place, data)

    @rule(place=text_places, data=st.sampled_from(TEXTS))
    def edit(self, place, data):
        """Change a file of texts, which is a caption if a picture with its name is beside it."""
        self.put(place, data)

    @rule(place=object_places, data=st.sampled_from(tuple(OBJECTS)))
    def describe(self, place, data):
        self.put(place, data)

    def put(self, place: Place, data: bytes) -> None:
        path = self.shadow.path(place)
        path.write_bytes(data)
        self.disk[place] = data
        for other in self.disk:
            if self.shadow.path(other).samefile(path):
                self.disk[other] = data
        self.stamp(path)

    def stamp(self, path: Path) -> None:
        """Give a file a time that no file had before."""
        self.time += 10**9
        os.utime(path, ns=(self.time, self.time))

    def pick(self, number: int) -> Place:
        return sorted(self.disk)[number % len(self.disk)]

    @rule(place=picture_places, data=bodies)
    def replace(self, place, data):
        """Save as most programs do: a new file replaces the old one."""
        new = self.folder / "new"
        new.write_bytes(data)
        self.stamp(new)
        new.rename(self.shadow.path(place))
        self.disk[place] = data

    @precondition(lambda self: self.disk)
    @rule(number=picks, place=places)
    def rename(self, number, place):
        self.move(self.pick(number), place)

    @precondition(lambda self: self.disk)
    @rule(number=picks)
    def change_case(self, number):
        place = self.pick(number)
        self.move(place, place.with_name(place.name.swapcase()))

    def move(self, old: Place, new: Place) -> None:
        # Renaming one link of a file to another link does nothing.
        if self.may_be(old, new):
            self.shadow.path(old).rename(self.shadow.path(new))
            self.disk[new] = self.disk.pop(old)

    def may_be(self, old: Place, new: Place) -> bool:
        """Whether one file can replace another, which must not be a link to it."""
        path = self.shadow.path
        return kind_of(old) == kind_of(new) and not (
            new in self.disk and path(new).samefile(path(old))
        )

    @precondition(lambda self: self.disk)
    @rule(number=picks, place=places, with_time=st.booleans())
    def copy(self, number, place, with_time):
        old = self.pick(number)
        if self.may_be(old, place):
            self.put(place, self.disk[old])
            if with_time:
                shutil.copystat(self.shadow.path(old), self.shadow.path(place))

    @precondition(lambda self: self.disk)
    @rule(number=picks, place=places)
    def link(self, number, place):
        old = self.pick(number)
        if kind_of(old) == kind_of(place) and place not in self.disk:
            os.link(self.shadow.path(old), self.shadow.path(place))
            self.disk[place] = self.disk[old]

    @precondition(lambda self: self.disk)
    @rule(number=picks)
    def delete(self, number):
        place = self.pick(number)
        self.shadow.path(place).unlink()
        del self.disk[place]

    @precondition(lambda self: self.disk)
    @rule(number=picks)
    def touch(self, number):
        self.stamp(self.shadow.path(self.pick(number)))

    @rule(mount_point=st.booleans())
    def carry_root(self, mount_point):
        """Move the root away or back. Its files may change while it is away, and it may leave an
        empty folder behind."""
        old = self.shadow.seats["other"]
        new = self.folder / ("elsewhere" if old.name == "other" else "other")
        old.rename(new)
        self.shadow.seats["other"] = new
        if mount_point:
            old.mkdir()

    @rule(name=st.sampled_from(("photos", "pictures")))
    def carry_library(self, name):
        """Move the root that holds the library, and the library with it."""
        old, new = self.shadow.seats["photos"], self.folder / name
        self.library.close()
        old.rename(new)
        self.library = Library.open(new)
        self.shadow.seats["photos"] = new
        if root := self.shadow.roots.get("photos"):
            root.home = new

    # Rules for the library.

    @rule(
        batch_size=st.sampled_from((1, 3, 1000)),
        exclude=globs,
        allow_missing=st.sampled_from((False, False, True)),
    )
    def index_everything(self, batch_size, exclude, allow_missing):
        self.run_over(None, exclude, allow_missing=allow_missing, batch_size=batch_size)

    @rule(scope=scopes, exclude=globs, allow_missing=st.sampled_from((False, False, True)))
    def index_part(self, scope, exclude, allow_missing):
        if scope.parts[0] not in self.shadow.roots:
            scope = PurePath(scope.parts[0])
        self.run_over(scope, exclude, allow_missing=allow_missing)

    @precondition(lambda self: self.disk)
    @rule(number=picks, exclude=globs)
    def index_file(self, number, exclude):
        """Index one file. Files of texts are watched only after they were named like this."""
        place = self.pick(number)
        if kind_of(place) != "object" and place.parts[0] in self.shadow.roots:
            self.run_over(place, exclude)

    @precondition(lambda self: self.shadow.left_out())
    @rule(number=picks)
    def index_what_was_forgotten(self, number):
        places = sorted(self.shadow.left_out())
        self.run_over(places[number % len(places)])

    def run_over(self, scope, exclude=None, *, allow_missing=False, batch_size=32) -> None:
        if scope is not None and scope.parts[0] not in self.shadow.roots:
            self.shadow.roots[scope.parts[0]] = Root(self.shadow.path(scope))
        roots = self.shadow.globs(scope, exclude)

        def run() -> IndexReport:
            return self.library.index(
                [] if scope is None else [self.shadow.known_path(scope)],
                self.load,
                exclude=exclude,
                allow_missing=allow_missing,
                batch_size=batch_size,
            )

        if scope is not None and len(scope.parts) > 1:
            if self.shadow.is_away(scope.parts[0]):
                with pytest.raises(SourceNotFound):
                    run()
                return
            if roots[scope.parts[0]].leaves_out(scope):
                with pytest.raises(SourceExcluded):
                    run()
                return
        self.shadow.roots = roots
        report = run()
        self.check(report, scope, allow_missing=allow_missing)
        if batch_size > 3:
            assert report.embedded == len(self.fresh)

    @rule(batches=st.integers(0, 3), batch_size=st.integers(1, 3), reembed=st.booleans())
    def index_after_an_interruption(self, batches, batch_size, reembed):
        encoder = Failing(self.another() if reembed else self.model, batches)
        try:
            report = self.library.index([], lambda: encoder, reembed=reembed, batch_size=batch_size)
        except KeyboardInterrupt:
            self.begun |= reembed
        else:
            self.begun &= not reembed or bool(report.unavailable)
        assert self.library.verify() == []
        self.go_on(encoder.model)

    def go_on(self, model: FakeEncoder) -> None:
        """Finish after a run with `model` that did only a part."""
        used = self.library.model
        if used and used.fingerprint == model.fingerprint:  # perhaps only publishing was left
            self.model = model
        self.check(self.library.index([], self.load), None, interrupted=True)

    @rule()
    def reembed(self):
        """Switch the model, once all roots are there: items of the others would lose embeddings."""
        model = self.another()
        report = self.library.index([], lambda: model, reembed=True)
        if report.unavailable:
            self.begun = True
            self.go_on(model)
            return
        self.model = model
        self.check(report, None)
        everything = {key for _, key, _ in self.shadow.items()}
        if not self.begun:  # otherwise an interrupted run did a part
            assert report.embedded == len(everything)
        self.begun = False

    @rule(numbers=st.lists(picks, max_size=2), folders=st.lists(scopes, max_size=1))
    def forget(self, numbers, folders):
        held = sorted(self.shadow.held)
        places = {*folders, *(held[number % len(held)] for number in numbers if held)}
        paths = [self.shadow.known_path(place) for place in sorted(places)]
        homes = {name: root.home for name, root in self.shadow.roots.items()}
        expected = self.shadow.forget(places)
        if expected is None:
            with pytest.raises(UnknownPath):
                self.library.forget(paths)
            return
        report = self.library.forget(paths)
        assert self.library.verify() == []
        items, roots, excluded = expected
        assert report.items == items
        assert set(report.roots) == {homes[name] for name in roots}
        assert set(report.excluded) == {self.shadow.known_path(place) for place in excluded}

    @rule()
    def move_root(self):
        root, new = self.shadow.roots.get("other"), self.shadow.seats["other"]
        known = [place for place in self.shadow.held if place.parts[0] == "other"]
        if root is None:
            with pytest.raises(UnknownPath):
                self.library.move_root(new, new)
        elif known and not any(place in self.disk for place in known):
            with pytest.raises(SourceNotFound):
                self.library.move_root(root.home, new)
        else:
            self.library.move_root(root.home, new)
            root.home = new

    @precondition(lambda self: self.shadow.held)
    @rule(number=picks, by_digest=st.booleans(), n=st.sampled_from(tuple(cells)))
    def annotate(self, number, by_digest, n):
        """Annotate by the path of a file, known or not, or by the digest of an item."""
        chosen = sorted({*self.shadow.held, *self.disk})
        place = chosen[number % len(chosen)]
        name, value = "path", str(self.shadow.known_path(place))
        file = self.shadow.held.get(place)
        ids = [id for _, id in file.items] if file else []
        if by_digest and ids:
            key = file.items[0][0]
            data = key[1].encode() if isinstance(key[1], str) else key[1]
            name, value = "sha256", sha256(data).hexdigest()
            ids = [id for id, other, _ in self.shadow.items() if other == key]
        table = self.folder / "table.csv"
        table.write_text(f"{name},n\n{value},{n}\n")
        expected = AnnotationReport(1, 0, ()) if ids else AnnotationReport(0, 1, (value,))
        assert self.library.annotate(table) == expected
        for key in {key for id, key, _ in self.shadow.items() if id in ids}:
            self.shadow.annotated.setdefault(key, {})["n"] = cells[n]

    @rule(layout=st.sampled_from(("flat", "ivf")), recall=st.sampled_from((0.5, 1.0)))
    def rebuild(self, layout, recall):
        self.library.rebuild(self.load, layout=layout, target_recall=recall)

    @rule()
    def repair(self):
        before = self.library.status()
        assert self.library.repair(self.must_not_load) == Repair([], [])
        assert self.library.status().generations == before.generations

    @rule()
    def reopen(self):
        self.library.close()
        self.library = Library.open(self.shadow.seats["photos"])

    @rule(kind=st.sampled_from(KINDS), words=words, k=st.integers(0, 12), exclude=st.sets(picks))
    def search(self, kind, words, k, exclude):
        live = sorted(id for id, _, _ in self.shadow.items())
        chosen = {live[number % len(live)] for number in exclude} if live else set()
        self.compare(kind, words, k, exclude=frozenset(chosen))

    @rule(
        kind=st.sampled_from(KINDS),
        words=words,
        k=st.integers(1, 12),
        under=st.none() | scopes | places,
        test=st.none() | st.sampled_from(tuple(TESTS)),
    )
    def search_some(self, kind, words, k, under, test):
        self.compare(kind, words, k, under=under, test=test)


@pytest.mark.parametrize(
    ("examples", "steps"), [(10, 25), pytest.param(100, 60, marks=pytest.mark.slow)]
)
def test_the_library_is_what_dicts_say(monkeypatch, examples, steps):
    monkeypatch.setattr("indexer.ann.layout.SAMPLE_PER_LIST", 2)  # lists for a handful of items
    monkeypatch.setattr("indexer.ann.generations._WORTHWHILE", 0.6)  # and a delta beside the index
    with Decoders() as decoders:  # shared, because starting child processes for each run is slow
        shared = SimpleNamespace(decode=decoders.decode, close=lambda: None)
        monkeypatch.setattr("indexer.indexing.run.Decoders", lambda: shared)
        run_state_machine_as_test(
            LibraryMachine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
