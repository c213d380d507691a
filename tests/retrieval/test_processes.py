"""After a fork parent and child go on apart; what was closed says so."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from encoder import FakeEncoder
from indexer import Library, LibraryClosed
from retrieval import Engine

Ask = Callable[[], object]


def in_child(ask: Ask) -> bool:
    """Whether ``ask()`` succeeds in a forked process, within a minute."""
    pid = os.fork()
    if not pid:
        signal.alarm(60)
        status = 1
        try:
            ask()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1] == 0


def test_a_child_and_its_parent_search_index_and_decode(folder: Path) -> None:
    """The first child inherits open connections, a mapped index and a decoder."""
    with Engine(Library.open(folder), lambda name: FakeEncoder()) as engine:

        def ask() -> None:
            assert engine.search("red")[0].path.name == "red.png"
            assert engine.similar(folder / "blue.png")[0].path.name in {"green.png", "red.png"}
            assert engine.library.status().counts == {"image": 3, "text": 3}

        def index() -> None:
            Image.new("RGB", (9, 9), (255, 255, 0)).save(folder / "yellow.png")
            report = engine.library.index([folder], FakeEncoder)
            assert report.added == 1
            assert engine.search("yellow")[0].path.name == "yellow.png"

        def close() -> None:
            engine.close()

        ask()
        (child,) = engine._decoders._idle
        assert in_child(ask)
        assert in_child(close)
        assert child.poll() is None, "a child has stopped the decoder of its parent"
        ask()
        assert engine._decoders._idle == [child]
        assert in_child(index)
        assert engine.search("yellow")[0].path.name == "yellow.png"


def test_children_of_children(folder: Path) -> None:
    with Engine(Library.open(folder), lambda name: FakeEncoder()) as engine:
        engine.search("red")

        def ask() -> None:
            assert engine.search("red")[0].path.name == "red.png"
            assert in_child(lambda: engine.similar(folder / "red.png"))

        assert in_child(ask)


def test_connections_of_the_parent_are_not_used(folder: Path) -> None:
    with Library.open(folder) as library:
        assert library.model
        parents = library._reader.pool
        assert parents.checkedin() == 1  # type: ignore[attr-defined]

        def look() -> None:
            assert library._reader.pool is not parents
            assert parents.checkedin() == 1  # type: ignore[attr-defined]
            assert library.model

        assert in_child(look)
        assert library._reader.pool is parents


def test_threads_of_the_parent_do_not_stop_a_child(tmp_path: Path) -> None:
    """With the real model: torch and FAISS have threads of their own. A thread of the parent may
    hold any lock at the moment of the fork."""
    script = textwrap.dedent(
        """
        import os, signal, sys, threading
        from pathlib import Path
        from PIL import Image
        from encoder import load_encoder
        from indexer import Library
        from retrieval import open_library

        folder = Path(sys.argv[1])
        for n in range(6):
            Image.new("RGB", (40, 40), (40 * n, 255 - 40 * n, 7)).save(folder / f"{n}.png")
        with Library.create(folder) as library:
            library.index([folder], lambda: load_encoder("align-mini", "cpu"))
        engine = open_library(folder, device="cpu")
        wanted = [hit.id for hit in engine.search("red")]
        done = threading.Event()

        def ask():
            while not done.is_set():
                engine.similar(folder / "3.png")

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(4):
            pid = os.fork()
            if not pid:
                signal.alarm(60)
                right = [hit.id for hit in engine.search("red")] == wanted
                right &= len(engine.similar(folder / "2.png")) == 5
                os._exit(0 if right else 3)
            print(os.waitpid(pid, 0)[1])
        done.set()
        for thread in threads:
            thread.join()
        engine.close()
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=280
    )
    assert (done.returncode, done.stdout) == (0, "0\n" * 4), done.stderr


def test_what_is_closed_says_so(folder: Path, tmp_path: Path) -> None:
    engine = Engine(Library.open(folder), lambda name: FakeEncoder())
    engine.search("red")
    library = engine.library
    engine.close()
    engine.close()
    asked: list[Ask] = [
        lambda: engine.search("red"),
        lambda: engine.similar(folder / "red.png"),
        lambda: engine.captions(folder / "red.png"),
        lambda: engine.tag(["red", "blue"]),
        lambda: engine.encoder,
        lambda: library.index([folder], FakeEncoder),
        lambda: library.rebuild(FakeEncoder),
        lambda: library.search(FakeEncoder().encode_texts(["red"])[0], 3),
        lambda: library.status(),
        lambda: library.items([1]),
        lambda: library.verify(),
        lambda: library.repair(FakeEncoder),
        lambda: library.backup(tmp_path / "b.db"),
        lambda: library.compact(FakeEncoder),
        lambda: library.model,
        lambda: library.near([1], 0.9),
        lambda: library.forget([folder / "red.png"]),
        lambda: list(library.near_pairs(np.array([1]), 0.9, lambda places: places)),
    ]
    for ask in asked:
        with pytest.raises(LibraryClosed) as caught:
            ask()
        assert str(caught.value) == f"the library {folder} was closed: open it again"
    with Library.open(folder) as again:
        assert again.status().counts == {"image": 3, "text": 3}
