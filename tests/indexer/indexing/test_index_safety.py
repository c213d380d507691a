"""Interruptions, crashes, two writers, readers of a library that is written: what was committed
stays, and stays whole."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import numpy as np
import pytest

from encoder.fake import FakeEncoder
from indexer import EmbeddingError, Library, LibraryLocked
from indexer.database import catalogue


def paint_many(photos, count):
    for n in range(count):
        photos.paint(f"{n:03}.png", (n, 255 - n, 7))


def test_an_interrupted_run_loses_at_most_one_batch_and_the_next_goes_on(photos, counting, sql):
    paint_many(photos, 20)
    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        photos.index(encoder=counting(fail_at=3), batch_size=4)
    assert threading.active_count() == threads
    status = photos.library.status()
    assert (status.counts["image"], status.generations) == (8, [])
    assert photos.nearest("green") == photos.ids("000.png")

    encoder = counting()
    assert photos.rescan(encoder=encoder, batch_size=4) == {
        "added": 12,
        "unchanged": 8,
        "embedded": 12,
    }
    assert encoder.batches == [4, 4, 4]
    assert sql(photos.library, "SELECT id FROM items ORDER BY id") == [(n,) for n in range(1, 21)]
    assert [g.count for g in photos.library.status().generations] == [20]


def test_after_an_interruption_before_publishing_the_next_run_publishes(
    photos, monkeypatch, must_not_load
):
    paint_many(photos, 3)

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("indexer.ann.generations._write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            photos.index()
    assert photos.nearest("green", 3) == [1, 2, 3]
    assert photos.library.status().generations == []
    photos.library.index([], must_not_load)
    assert [(g.count, g.delta) for g in photos.library.status().generations] == [(3, 0)]


def test_a_process_that_ends_in_a_batch_leaves_nothing_half_written(photos, sql):
    """The process ends inside the transaction of its second batch, after it inserted items."""
    paint_many(photos, 6)
    code = f"""
import os, signal
from pathlib import Path
from encoder.fake import FakeEncoder
from indexer import Library
from indexer.database import journal
real, calls = journal.add_embeddings, []
def die(*arguments):
    calls.append(1)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    real(*arguments)
journal.add_embeddings = die
Library.open({str(photos.folder)!r}).index(
    [Path({str(photos.folder)!r})], FakeEncoder, batch_size=3)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=os.getcwd(), timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    for table in ("files", "items", "embeddings", "changes"):
        assert sql(photos.library, f"SELECT count(*) FROM {table}") == [(3,)], table
    assert sql(photos.library, "PRAGMA integrity_check") == [("ok",)]
    assert photos.index() == {"added": 3, "unchanged": 3, "embedded": 3}


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (np.array([[np.nan, 0, 0, 1]], np.float32), "numbers that are not finite"),
        (np.array([[1, 1, 0, 0]], np.float32), "vectors that are not of length 1"),
        (np.array([[1, 0.05, 0, 0]], np.float32), "vectors that are not of length 1"),
        (np.array([[1, 0, 0]], np.float32), "an array of shape (1, 3) instead of (1, 4)"),
        (np.zeros((0, 4), np.float32), "an array of shape (0, 4) instead of (1, 4)"),
    ],
)
def test_embeddings_that_are_refused(photos, rows, problem):
    photos.paint("a.png", "red")

    class Broken(FakeEncoder):
        def encode_images(self, pictures):
            return rows

    with pytest.raises(EmbeddingError) as caught:
        photos.index(encoder=Broken())
    assert str(caught.value) == (
        f"fake returned {problem}; nothing of this batch was kept, check the checkpoint or index"
        " with another model"
    )
    assert photos.library.status().counts == {"image": 0, "text": 0}


def test_embeddings_of_nearly_unit_length_are_accepted(photos):
    photos.paint("a.png", "red")

    class Rounded(FakeEncoder):
        def encode_images(self, pictures):
            return super().encode_images(pictures) * np.float32(1.0009)

    assert photos.index(encoder=Rounded()) == {"added": 1, "embedded": 1}


@pytest.fixture
def writer(photos):
    """Starts processes that hold the lock until their stdin ends, or die while they hold it."""
    code = """
import os, signal, sys
from pathlib import Path
from indexer.database.lock import writing
with writing(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""
    started = []

    def start():
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", code, photos.library.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        assert started[-1].stdout.readline() == "held\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def complaint(photos, **options):
    with pytest.raises(LibraryLocked) as caught:
        photos.rescan(**options)
    return str(caught.value)


LOCKED = "{} is being written by {}; wait until it is done (--wait SECONDS), or stop it"


def test_an_error_tells_the_second_writer_at_once_who_holds_the_library(photos, writer):
    photos.paint("a.png", "red")
    photos.index()
    before = datetime.now(UTC).replace(microsecond=0)
    holder = writer()
    started = time.monotonic()
    sentence = complaint(photos)
    assert time.monotonic() - started < 1
    (since,) = re.findall(r"since (\S+ \S+);", sentence)
    name = f"process {holder.pid} since {since}"
    assert sentence == LOCKED.format(photos.library.path, name)
    assert before <= datetime.fromisoformat(since) <= datetime.now(UTC)
    assert photos.nearest("red") == [1]
    with Library.open(photos.folder) as another:
        assert another.status().counts["image"] == 1
    holder.kill()
    holder.wait()
    assert photos.rescan() == {"unchanged": 1}  # the kernel freed the lock


@pytest.mark.parametrize(
    "content", [b"", b"12", b"12\n2026-11-21 12", b"\xff\n", b"9\n9\n9\n9", None]
)
def test_a_holder_whose_name_cannot_be_read(photos, writer, content):
    writer()
    name = photos.library.path / "writer.pid"
    name.unlink() if content is None else name.write_bytes(content)
    assert complaint(photos) == LOCKED.format(photos.library.path, "another process")


def test_a_dead_writer_is_not_named_as_the_holder(photos, writer):
    name = photos.library.path / "writer.pid"
    dead = writer()
    left = name.read_text()
    dead.kill()
    dead.wait()
    assert name.read_text() == left
    writer()
    name.write_text(left)  # as if the new writer had not written its own yet
    assert complaint(photos) == LOCKED.format(photos.library.path, "another process")


def test_a_writer_that_is_done_removes_its_name(photos):
    photos.rescan()
    assert not (photos.library.path / "writer.pid").exists()


def test_a_second_writer_waits_as_long_as_it_may(photos, writer):
    holder = writer()
    started = time.monotonic()
    complaint(photos, wait=0.3)
    assert time.monotonic() - started >= 0.3
    photos.paint("a.png", "red")
    freed = threading.Timer(0.2, lambda: holder.communicate("\n"))
    freed.start()
    assert photos.rescan(wait=60) == {}
    freed.join()
    assert photos.index(wait=60) == {"added": 1, "embedded": 1}


@pytest.mark.parametrize("wait", [-1, float("nan")])
def test_a_wait_that_is_not_a_duration_is_refused(photos, wait):
    with pytest.raises(ValueError, match="must be at least 0 seconds"):
        photos.rescan(wait=wait)


def test_readers_see_committed_states_only(photos):
    """A reader on another connection, in the middle of every batch and after it."""
    paint_many(photos, 9)
    seen = []

    class Peeking(FakeEncoder):
        def encode_images(self, pictures):
            with Library.open(photos.folder) as reader:
                found = reader.search(FakeEncoder().encode_texts(["green"])[0], 100)
            seen.append((len(found.ids), len(photos.nearest("green", 100))))
            return super().encode_images(pictures)

    photos.index(encoder=Peeking(), batch_size=3)
    assert seen == [(0, 0), (3, 3), (6, 6)]
    assert len(photos.nearest("green", 100)) == 9


def test_a_reader_keeps_the_state_it_began_with(photos):
    paint_many(photos, 2)
    photos.index()
    with photos.library._reader.begin() as db:
        assert catalogue.last_change(db) == 2
        photos.paint("new.png", "red")
        photos.index()
        assert (catalogue.last_change(db), catalogue.counts(db)) == (2, {"image": 2})
    assert photos.library.status().counts["image"] == 3


def test_a_slow_reader_does_not_delay_a_writer(photos, sql):
    paint_many(photos, 2)
    photos.index()
    with photos.library._reader.begin() as db:
        assert catalogue.last_change(db) == 2
        photos.paint("new.png", "red")
        started = time.monotonic()
        assert photos.index() == {"added": 1, "unchanged": 2, "embedded": 1}
        assert time.monotonic() - started < 10  # SQLite would wait 30 seconds for the reader
        assert catalogue.last_change(db) == 2
    log = photos.library.path / "library.db-wal"
    assert log.stat().st_size > 0
    photos.rescan()
    assert not log.exists() or log.stat().st_size == 0
    assert sql(photos.library, "SELECT max(seq) FROM changes") == [(3,)]


def test_searching_while_another_thread_writes(photos):
    paint_many(photos, 40)
    stop, problems, sizes = threading.Event(), [], []

    def search():
        while not stop.is_set():
            found = photos.nearest("green", 100)
            sizes.append(len(found))
            if found != sorted(found) or len(found) % 4:  # ids ascend as green fades
                problems.append(found)

    searcher = threading.Thread(target=search)
    searcher.start()
    photos.index(batch_size=4)
    stop.set()
    searcher.join()
    assert problems == []
    assert sizes == sorted(sizes)


def test_memory_is_bounded_by_reading_only_so_far_ahead(photos, monkeypatch):
    from indexer.indexing.reading import read

    paint_many(photos, 60)
    reads, ahead = [], []
    monkeypatch.setattr("indexer.indexing.run.read", lambda *a: reads.append(1) or read(*a))

    class Slow(FakeEncoder):
        done = 0

        def encode_images(self, pictures):
            time.sleep(0.05)
            ahead.append(len(reads) - self.done)
            self.done += len(pictures)
            return super().encode_images(pictures)

    photos.index(encoder=Slow(), batch_size=4, workers=2)
    # One batch in the encoder, eight files ahead and one that the run takes, and these eight again
    # after the model is loaded.
    assert max(ahead) <= 4 + 8 + 1 + 8
    assert len(ahead) == 15
