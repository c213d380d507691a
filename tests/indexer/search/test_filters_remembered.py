"""The ids of a filter are remembered until any process commits anything."""

import re
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event

from encoder.fake import FakeEncoder
from indexer import FilterError, Filters, Library, UnknownPath
from indexer.database import checksums, connection, filesystem, journal

SETUP = """
from contextlib import closing
from pathlib import Path
import shutil, sqlite3
from encoder.fake import FakeEncoder
from indexer import Library
from indexer.database import checksums
"""
WORKER = f"""{SETUP}
import sys
for line in sys.stdin:
    home, code = eval(line)
    with Library.open(home) as library:
        exec(code)
    print(flush=True)
"""


@pytest.fixture(scope="module")
def elsewhere():
    """Run code in another process."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def run(folder, code):
        worker.stdin.write(f"{(folder, code)!r}\n")
        worker.stdin.flush()
        assert worker.stdout.readline() == "\n"

    yield run
    worker.communicate(timeout=60)


@pytest.fixture
def writer(request, photos, elsewhere):
    """Run code that writes, with the library that searches or in another process."""

    def run(code):
        home = str(photos.folder)
        if request.param == "elsewhere":
            elsewhere(home, code)
        else:
            exec(SETUP + code, {"home": home, "library": photos.library})

    return run


def names(photos, library, filters, kind="image"):
    """Paths of the items that pass, relative to the folder around the roots."""
    query = FakeEncoder().encode_texts(["red"])[0]
    found = library.items(library.search(query, 99, kind=kind, filters=filters).ids)
    return sorted(str(item.path.relative_to(photos.folder.parent)) for item in found)


@pytest.fixture
def known(photos, tmp_path):
    """Three pictures and a text in two roots; `rated` is a field of one of them."""
    photos.paint("a.png", "red")
    photos.paint("sub/b.png", "green")
    photos.paint("../other/in/c.png", "blue", size=(20, 8))
    photos.write("t.txt", "red\n")
    photos.index(photos.folder, tmp_path / "other/in", photos.folder / "t.txt")
    photos.write("rated.csv", "path,rated\na.png,1\n")
    photos.library.annotate(photos.folder / "rated.csv")
    return photos


INDEX = "library.index([], FakeEncoder)"
WRITES: dict[str, tuple[dict[str, Any], str, Any, Any]] = {
    "add": (
        {"glob": "*.png"},
        f"shutil.copy(home + '/a.png', home + '/d.png'); {INDEX}",
        ["other/in/c.png", "photos/a.png", "photos/sub/b.png"],
        ["other/in/c.png", "photos/a.png", "photos/d.png", "photos/sub/b.png"],
    ),
    "delete": (
        {"fields": ["rated=1"]},
        f"Path(home, 'a.png').unlink(); {INDEX}",
        ["photos/a.png"],
        FilterError,
    ),
    "other bytes": (
        {"min_width": 20},
        f"shutil.copy(home + '/../other/in/c.png', home + '/a.png'); {INDEX}",
        ["other/in/c.png"],
        ["other/in/c.png", "photos/a.png"],
    ),
    "move a file": (
        {"glob": "sub/*"},
        f"Path(home, 'a.png').rename(home + '/sub/a.png'); {INDEX}",
        ["photos/sub/b.png"],
        ["photos/sub/a.png", "photos/sub/b.png"],
    ),
    "move a root": (
        {"under": "new"},
        "old, new = Path(home, '../other/in').resolve(), Path(home, '../new').resolve();"
        " old.rename(new); library.move_root(old, new)",
        FilterError,
        ["new/c.png"],
    ),
    "watch a root around": (
        {"glob": "in/*"},
        "library.index([Path(home, '../other').resolve()], FakeEncoder)",
        [],
        ["other/in/c.png"],
    ),
    "annotate": (
        {"fields": ["rated>=1"]},
        "Path(home, 'r.csv').write_text('path,rated\\na.png,0\\nsub/b.png,1\\n');"
        " library.annotate(Path(home, 'r.csv'))",
        ["photos/a.png"],
        ["photos/sub/b.png"],
    ),
    "a new field": (
        {"fields": ["stars=5"]},
        "Path(home, 'r.csv').write_text('path,stars\\na.png,5\\n');"
        " library.annotate(Path(home, 'r.csv'))",
        FilterError,
        ["photos/a.png"],
    ),
    "a sidecar": (
        {"fields": ["rated=1"]},
        f"Path(home, 'sub/b.json').write_text('{{\"rated\": 1}}'); {INDEX}",
        ["photos/a.png"],
        ["photos/a.png", "photos/sub/b.png"],
    ),
    "exclude": (
        {"min_height": 8},
        "library.index([], FakeEncoder, exclude=['b.*'])",
        ["other/in/c.png", "photos/a.png", "photos/sub/b.png"],
        ["other/in/c.png", "photos/a.png"],
    ),
    "forget a file": (
        {"min_width": 8},
        "library.forget([Path(home, 'a.png')])",
        ["other/in/c.png", "photos/a.png", "photos/sub/b.png"],
        ["other/in/c.png", "photos/sub/b.png"],
    ),
    "forget a root": (
        {"min_width": 9},
        "library.forget([Path(home, '../other/in').resolve()])",
        ["other/in/c.png"],
        [],
    ),
    "embed again": (
        {"min_width": 9},
        "shutil.copy(home + '/../other/in/c.png', home + '/d.png');"
        " library.index([], lambda: FakeEncoder('other', '07e4'), reembed=True)",
        ["other/in/c.png"],
        ["other/in/c.png", "photos/d.png"],
    ),
    "another program": (
        {"after": "2024"},
        "with closing(sqlite3.connect(library.path / 'library.db')) as db, db:"
        " checksums.maintain(db);"
        " db.execute(\"UPDATE items SET taken_at = '2025-01-01' WHERE id = 1\")",
        [],
        ["photos/a.png"],
    ),
}


@pytest.mark.parametrize("writer", ["itself", "elsewhere"], indirect=True)
@pytest.mark.parametrize("write", WRITES)
def test_every_write_is_noticed(known, monkeypatch, writer, write):
    options, code, before, after = WRITES[write]
    monkeypatch.chdir(known.folder.parent)
    filters = Filters.parse(**options)

    def check(library, expected):
        for _ in range(2):
            if expected is FilterError:
                with pytest.raises(FilterError):
                    names(known, library, filters)
            else:
                assert names(known, library, filters) == expected

    check(known.library, before)
    writer(code)
    check(known.library, after)
    with Library.open(known.folder) as fresh:
        check(fresh, after)


def test_kinds_are_not_mixed_up(known):
    filters = Filters.parse(under=known.folder)
    for _ in range(2):
        assert names(known, known.library, filters) == ["photos/a.png", "photos/sub/b.png"]
        assert names(known, known.library, filters, kind="text") == ["photos/t.txt"]


def test_a_link_that_leads_elsewhere_is_followed_again(known, tmp_path):
    link = tmp_path / "link"
    for target, expected in [("photos/sub", "photos/sub/b.png"), ("other", "other/in/c.png")] * 2:
        link.symlink_to(tmp_path / target)
        assert names(known, known.library, Filters.parse(under=link)) == [expected]
        link.unlink()


# --- when items are read again


@pytest.fixture
def reads():
    """The statements with which filters have read the items of a library. Those that read only the
    hits, by their ids, do not count, nor those that read embeddings."""

    def count(library):
        seen = []

        @event.listens_for(library._reader, "before_cursor_execute")
        def note(connection, cursor, statement, *_):
            reads_vectors = "embeddings.vector" in statement
            of_hits = "json_each" in statement or reads_vectors
            if re.search(r"\b(items|files|fields)\b", statement) and not of_hits:
                seen.append(statement)

        return seen

    return count


@pytest.fixture
def flags(make_vectors, unit_rows):
    """A library of 20 vectors with a switch: it gives the field `on` to one item and takes it from
    all others."""
    vectors = make_vectors(4)
    vectors.add(unit_rows(20))

    def on(db, chosen):
        said: list[Any] = [
            (("image", b"%d" % id), "on", float(id == chosen)) for id in vectors.live
        ]
        journal.annotate(db, "person", journal.add_statement(db, {}), said)

    vectors.on = on
    with vectors._engine.begin() as db:
        on(db, 1)
    return vectors


def search(library, **options):
    found = library.search(np.eye(4, dtype="f4")[0], 99, filters=Filters.parse(**options))
    return sorted(found.ids.tolist())


def test_a_filter_that_is_used_again_reads_no_items(flags, reads):
    seen = reads(flags.library)
    options = {"fields": ["on=1"], "glob": "*"}
    assert search(flags.library, **options) == [1]
    first = len(seen)
    assert first > 0
    for _ in range(3):
        assert search(flags.library, **options) == [1]
    assert len(seen) == first
    with flags._engine.begin() as db:
        flags.on(db, 7)
    assert search(flags.library, **options) == [7]
    assert len(seen) == 2 * first


def test_the_last_eight_filters_are_remembered(flags, reads):
    seen = reads(flags.library)
    for number in [*range(1, 9), 1, 9]:  # 9 replaces 2
        assert search(flags.library, glob=str(number)) == [number]
    assert len(seen) == 9
    for number in (1, 3, 4, 5, 6, 7, 8, 9):
        assert search(flags.library, glob=str(number)) == [number]
    assert len(seen) == 9
    assert search(flags.library, glob="2") == [2]
    assert len(seen) == 10


def test_a_search_uses_the_connection_of_the_last_one(flags, reads):
    """This holds even if several connections are open after searches in parallel."""
    reader = flags.library._reader
    with reader.begin(), reader.begin(), reader.begin():
        pass
    seen = reads(flags.library)
    assert [search(flags.library, glob="7") for _ in range(5)] == [[7]] * 5
    assert len(seen) == 1


@pytest.mark.parametrize("place", ["ext4", "nfs"])
def test_uncommitted_changes_are_not_seen(make_vectors, unit_rows, monkeypatch, reads, place):
    """With a write-ahead log and with a rollback journal."""
    monkeypatch.setattr(filesystem, "type_of", lambda folder: place)
    vectors = make_vectors(4)
    vectors.add(unit_rows(2))

    def switch(db, chosen):
        said: list[Any] = [(("image", b"%d" % id), "on", float(id == chosen)) for id in (1, 2)]
        journal.annotate(db, "person", journal.add_statement(db, {}), said)

    with vectors._engine.begin() as db:
        switch(db, 1)
    with vectors.library._reader.begin() as db:
        assert connection.journal_mode(db) == ("delete" if place == "nfs" else "wal")
    seen = reads(vectors.library)
    assert search(vectors.library, fields=["on=1"]) == [1]
    before = len(seen)
    with vectors._engine.connect() as db:
        with db.begin() as transaction:
            switch(db, 2)
            assert search(vectors.library, fields=["on=1"]) == [1]
            transaction.rollback()
        assert search(vectors.library, fields=["on=1"]) == [1]
        assert len(seen) == before
        with db.begin():
            switch(db, 2)
            assert search(vectors.library, fields=["on=1"]) == [1]
        assert search(vectors.library, fields=["on=1"]) == [2]


def test_a_write_that_fails_changes_nothing(known):
    filters = Filters.parse(min_width=1)
    before = names(known, known.library, filters)
    with pytest.raises(UnknownPath):
        known.library.forget([known.folder / "a.png", Path("/nowhere")])
    assert names(known, known.library, filters) == before


def test_a_library_on_a_read_only_medium(known, monkeypatch, reads):
    known.library.close()
    monkeypatch.setattr(filesystem, "is_writable", lambda folder: False)
    with Library.open(known.folder) as still:
        seen = reads(still)
        assert search(still, fields=["rated=1"]) == [1]
        first = len(seen)
        assert search(still, fields=["rated=1"]) == [1]
        assert len(seen) == first > 0


def test_searches_of_many_threads_next_to_a_writer(flags):
    """An answer shows one committed state: committed before the search ended, and not older than
    the last commit before it began."""
    begun = done = 1
    wrong, answers, stop = [], set(), threading.Event()

    def ask():
        while not stop.is_set():
            least = done
            found = search(flags.library, fields=["on=1"])
            answers.update(found)
            if len(found) != 1 or not least <= found[0] <= begun:
                wrong.append((least, found, begun))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        for begun in range(2, 21):
            with flags._engine.begin() as db:
                flags.on(db, begun)
            done = begun
            assert search(flags.library, fields=["on=1"]) == [begun]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong
    assert answers


def test_a_copy_at_the_same_path_is_another_library(flags, tmp_path):
    """A library that is opened again is read again: answers do not outlive their connection."""
    home = flags.library.path.parent
    assert search(flags.library, fields=["on=1"]) == [1]
    flags.library.close()
    with closing(sqlite3.connect(home / ".align/library.db")) as db, db:
        checksums.maintain(db)
        db.execute("UPDATE annotations SET number = (digest = CAST('5' AS BLOB))")
    with Library.open(home) as again:
        assert search(again, fields=["on=1"]) == [5]
