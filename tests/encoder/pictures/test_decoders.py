"""Decoding in child processes: whatever a picture does to a child, the answer is a picture or a
reason, and the next picture is decoded."""

import csv
import gc
import io
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from hashlib import sha256
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from encoder.datasets import StoredPicture
from encoder.errors import EncoderError, PassingPictureError, PictureError
from encoder.fake import FakeEncoder
from encoder.pictures.decoders import Decoders, children_for
from encoder.pictures.picture import read_picture
from encoder.preprocess import Preprocessor
from encoder.protocol import Pixels
from tests.encoder.deadly import Deadly

PREPARE = Preprocessor(size=(7, 9)).prepare
STARTED_SOON = 60
"""Seconds after which a child that should have died counts as alive."""

HARMFUL = '''
import os, signal, time
import numpy as np

def prepare(picture):
    """What to do to the child, by the picture's width."""
    if picture.width == 1:
        time.sleep(3600)
    elif picture.width == 2:
        while True:
            signal.setitimer
    elif picture.width == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    elif picture.width == 4:
        os.abort()
    elif picture.width == 5:
        os._exit(7)
    elif picture.width == 6:
        hoard = [np.ones(10**8, np.uint8) for _ in range(40)]
    elif picture.width == 7:
        print("noise on stdout", flush=True)
        os.write(1, b"and more of it")
    elif picture.width == 8:
        raise KeyError("a bug")
    return np.asarray(picture)
'''


def png(width: int, height: int = 4, colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Image.Image], Pixels]:
    (tmp_path / "harmful_for_tests.py").write_text(HARMFUL)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "harmful_for_tests", raising=False)
    prepare: Callable[[Image.Image], Pixels] = import_module("harmful_for_tests").prepare
    return prepare


@pytest.fixture(autouse=True)
def without_coverage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Children start as users start them: coverage.py would cost them time and memory."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    with Decoders() as made:
        yield made


def pids(decoders: Decoders) -> list[int]:
    return [child.pid for child in decoders._children]


def peak(pid: int) -> int:
    """The most bytes of memory that a process ever had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


def test_a_child_answers_as_this_process_would(decoders: Decoders) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x9003] = "2021:07:09 12:00:01"
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG", exif=exif)
    here = read_picture(io.BytesIO(buffer.getvalue()))
    there = decoders.decode(buffer.getvalue(), PREPARE)
    assert np.array_equal(there.pixels, PREPARE(here.image))
    assert (there.width, there.height) == (here.width, here.height) == (20, 30)
    assert (there.about.format, there.about.taken_at) == (here.format, here.taken_at)
    assert there.about.taken_at == datetime(2021, 7, 9, 12, 0, 1)
    assert there.about.image.size == (0, 0)


def test_a_child_is_started_when_needed_and_used_again(decoders: Decoders) -> None:
    assert pids(decoders) == []
    decoders.decode(png(9), PREPARE)
    (first,) = pids(decoders)
    for width in range(10, 30):
        assert decoders.decode(png(width), PREPARE).width == width
    assert pids(decoders) == [first]


def test_every_thread_has_a_child_of_its_own(harm: Callable[[Image.Image], Pixels]) -> None:
    with Decoders() as decoders, ThreadPoolExecutor(3) as pool:
        meet = threading.Barrier(3)

        def decode(width: int) -> int:
            meet.wait()
            return decoders.decode(png(width), harm).width

        assert list(pool.map(decode, range(10, 40))) == list(range(10, 40))
        assert 1 <= len(pids(decoders)) <= 3


def test_leaving_the_block_ends_the_children() -> None:
    with Decoders() as decoders:
        decoders.decode(png(9), PREPARE)
        (pid,) = pids(decoders)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(PictureError, match="not decoded: the work was stopped"):
        decoders.decode(png(9), PREPARE)


@pytest.mark.parametrize(
    ("width", "reason", "passing"),
    [
        (1, "was not decoded within 3 s", True),
        (2, "took longer than 3 s to decode", False),
        (3, "the system stopped its decoder (signal 9)", True),
        (4, "crashed the decoder (signal 6)", False),
        (5, "crashed the decoder (exit status 7)", False),
        (6, "not enough memory to decode it", False),
    ],
)
def test_harm_is_a_reason_and_the_next_picture_is_decoded(
    harm: Callable[[Image.Image], Pixels], width: int, reason: str, passing: bool
) -> None:
    limits = {1: (60, 3), 2: (3, 60)}.get(width, (60, 60))
    with Decoders(*limits) as decoders:
        decoders.decode(png(9), harm)
        before = pids(decoders)
        with pytest.raises(PictureError) as caught:
            decoders.decode(png(width), harm)
        assert str(caught.value) == reason
        assert isinstance(caught.value, PassingPictureError) == passing
        assert np.array_equal(decoders.decode(png(9, 1), harm).pixels, [[[255, 0, 0]] * 9])
        after = pids(decoders)
        assert (after == before) == (width == 6)  # replaced, unless it survived
        assert len(after) == 1
        assert peak(after[0]) < 1.5e9


def test_a_limit_of_time_is_one_of_work_and_not_of_waiting(
    harm: Callable[[Image.Image], Pixels],
) -> None:
    """A machine that is busy with other things lets a child wait."""
    with Decoders(timeout=1) as decoders:
        decoders.decode(png(9), harm)
        child = decoders._children[0]
        child.send_signal(signal.SIGSTOP)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(decoders.decode, png(9), harm)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=2)
            child.send_signal(signal.SIGCONT)
            assert waiting.result().width == 9


@pytest.mark.parametrize(
    ("limit", "shortage"),
    [("RLIMIT_DATA", 400_000_000), ("RLIMIT_AS", 2_000_000_000)],
)
def test_memory_that_the_system_lacks_is_no_fault_of_the_bytes(
    harm: Callable[[Image.Image], Pixels], limit: str, shortage: int
) -> None:
    which = getattr(resource, limit)
    with Decoders() as decoders:
        decoders.decode(png(9), harm)
        resource.prlimit(decoders._children[0].pid, which, (shortage, shortage))
        with pytest.raises(PassingPictureError, match="not enough memory to decode it"):
            decoders.decode(png(6), harm)


def test_a_child_killed_while_idle_costs_nothing(decoders: Decoders) -> None:
    decoders.decode(png(9), PREPARE)
    child = decoders._children[0]
    child.kill()
    child.wait()
    assert decoders.decode(png(9), PREPARE).width == 9
    assert child.pid not in pids(decoders)


def test_noise_on_stdout_does_not_reach_the_answers(
    decoders: Decoders, harm: Callable[[Image.Image], Pixels]
) -> None:
    assert [decoders.decode(png(width), harm).width for width in (7, 9, 7)] == [7, 9, 7]


def test_an_encoder_that_a_child_cannot_use_is_not_a_failure_of_the_picture(
    decoders: Decoders, harm: Callable[[Image.Image], Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EncoderError, match="make it a function, or a method of a small class"):
        decoders.decode(png(9), lambda picture: PREPARE(picture))
    with pytest.raises(EncoderError, match=r"\(KeyError: 'a bug'\)"):
        decoders.decode(png(8), harm)

    def local(picture: Image.Image) -> Pixels:
        return PREPARE(picture)

    local.__module__, local.__qualname__ = "__main__", "only_here"
    monkeypatch.setattr(sys.modules["__main__"], "only_here", local, raising=False)
    with pytest.raises(EncoderError, match="only_here"):
        decoders.decode(png(9), local)
    assert decoders.decode(png(9), PREPARE).width == 9


def test_a_child_that_cannot_start_is_not_a_failure_of_the_picture(
    decoders: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(EncoderError, match=r"could be started: it .* \(exit status 1\)"):
        decoders.decode(png(9), PREPARE)
    assert pids(decoders) == []


def test_a_folder_with_the_name_of_a_package_is_not_imported(
    decoders: Decoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("encoder", "PIL", "numpy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert decoders.decode(png(9), PREPARE).width == 9


def test_a_child_loads_nothing_heavy_and_dies_with_its_parent() -> None:
    code = """
import os, signal, sys
from encoder.pictures.decoders import Decoders
decoders = Decoders()
def modules(picture): pass
import io; from PIL import Image
buffer = io.BytesIO(); Image.new("RGB", (9, 9)).save(buffer, "PNG")
from encoder.preprocess import Preprocessor
decoders.decode(buffer.getvalue(), Preprocessor().prepare)
print(decoders._children[0].pid, *{"torch", "tokenizers", "faiss", "sqlalchemy"} & set(sys.modules))
maps = open(f"/proc/{decoders._children[0].pid}/maps").read()
print(*(name for name in ("torch", "tokenizers", "faiss", "sqlite") if name in maps))
sys.stdout.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    (pid,), loaded = (line.split() for line in done.stdout.splitlines())
    assert loaded == []
    deadline = time.monotonic() + STARTED_SOON
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < deadline:
        time.sleep(0.01)  # until the process that adopts it has waited for it
        if "(zombie)" in Path(f"/proc/{pid}/status").read_text():
            return
    assert not os.path.exists(f"/proc/{pid}")


def test_a_child_starts_soon() -> None:
    code = (
        "import resource, io, os; from encoder.pictures.decoders import Decoders;"
        "from encoder.fake import FakeEncoder; from PIL import Image;"
        "b = io.BytesIO(); Image.new('RGB', (9, 9)).save(b, 'PNG');"
        "d = Decoders(); d.decode(b.getvalue(), FakeEncoder.prepare); d.close();"
        "u = resource.getrusage(resource.RUSAGE_CHILDREN); print(u.ru_utime + u.ru_stime)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert float(done.stdout) < 0.5


def test_ctrl_c_is_for_the_parent_alone(decoders: Decoders) -> None:
    decoders.decode(png(9), PREPARE)
    (pid,) = pids(decoders)
    assert os.getpgid(pid) != os.getpgid(0)


def test_a_call_returns_or_raises_what_the_work_does(decoders: Decoders, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(9))
    picture = StoredPicture("a.png", path)
    assert decoders.call(picture.digest) == sha256(path.read_bytes()).digest()
    assert decoders.call(picture.open).size == (9, 4)
    path.write_bytes(b"nonsense")
    with pytest.raises(PictureError, match="not a picture in a known format"):
        decoders.call(picture.open)
    path.unlink()
    with pytest.raises(FileNotFoundError) as caught:
        decoders.call(picture.open)
    assert caught.value.filename == str(path)
    assert len(pids(decoders)) == 1
    with pytest.raises(PictureError, match=r"^crashed the decoder \(exit status 1\)$"):
        decoders.call(Deadly("worst.png").open)
    with pytest.raises(EncoderError, match="a dataset's kind of picture, cannot be used"):
        decoders.call(lambda: 1)


def test_children_end_with_an_object_that_was_never_closed() -> None:
    decoders = Decoders()
    decoders.decode(png(9), PREPARE)
    (pid,) = pids(decoders)
    del decoders
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_few_pictures_start_few_children() -> None:
    wanted = [(0, 1), (1, 1), (4, 1), (5, 2), (16, 4), (17, 4), (1000, 4)]
    assert [(count, children_for(count, 4)) for count, _ in wanted] == wanted


def test_a_thread_that_decodes_while_it_is_closed_gets_a_reason(
    harm: Callable[[Image.Image], Pixels],
) -> None:
    decoders = Decoders()
    decoders.decode(png(9), harm)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(decoders.decode, png(1), harm)
        while not future.running() or decoders._idle:
            time.sleep(0.001)
        decoders.close()
        with pytest.raises(PictureError):
            future.result(STARTED_SOON)


def test_awkward_images(data_dir: Path) -> None:
    """Each is soon a picture or a plain reason, within the limit of memory, and the child survives.
    A file that the table calls truncated or broken is not a picture."""
    with open(data_dir / "awkward_images.tsv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file, delimiter="\t") if row[0] != "path"]
    assert len(rows) == 268
    read = 0
    with Decoders() as decoders:
        for path, *_, result in rows:
            data = (data_dir / "awkward_images" / path).read_bytes()
            start = time.monotonic()
            try:
                decoded = decoders.decode(data, FakeEncoder.prepare)
            except PictureError as error:
                plain = re.sub(r"\bDPI\b", "", str(error))
                assert "Errno" not in plain, path
                assert not re.search(r"\w(Error|Exception|Warning)\b|[<>\[\]{}']|\n", plain), path
                assert "truncated" in result or not result.startswith("ok") or "apng" in path, path
            else:
                read += 1
                assert result.startswith("ok"), path
                assert decoded.pixels.shape == (8, 8, 3)
            assert time.monotonic() - start < 10, path
        (child,) = pids(decoders)
        assert peak(child) < 1.5e9
    assert (
        read == sum(row[-1].startswith("ok") for row in rows) - 1
    )  # see test_awkward_images of test_picture.py
