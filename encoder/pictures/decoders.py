"""Decode pictures in child processes: damaged bytes may hang, crash or starve a decoder. They then
cost one picture and never the program.

`Decoders` is the parent's side, `serve` is the child's. They exchange pickles over the child's
stdin and stdout and trust each other; only the pictures are not trusted.
"""

import gc
import io
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from PIL import Image

from encoder.errors import EncoderError, PictureError
from encoder.pictures.picture import Picture, read_picture
from encoder.protocol import Pixels

TIMEOUT = 10.0
"""Seconds that one picture may take."""
MAX_MEMORY = 1_400_000_000
"""Bytes of data that a child may hold; with its code and libraries it stays below 1.5 GB."""
PICTURES_A_CHILD = 4
"""Fewer pictures are decoded in less time than a child takes to start."""

Prepare = Callable[[Image.Image], Pixels]
T = TypeVar("T")

_READY = b"!"
_STOPPED = "not decoded: the work was stopped"
_WITHOUT_PIXELS = Image.new("RGB", (0, 0))


@dataclass(frozen=True)
class Decoded:
    """What a child made of a picture."""

    pixels: Pixels
    """What `prepare` returned."""
    width: int
    """Pixels of the whole picture, upright."""
    height: int
    about: Picture
    """What the file says about the picture; its `image` is empty."""


class Decoders:
    """Child processes that decode. There are at most as many as threads that decode at the same
    time. A child starts when it is first needed, serves one picture after another, and ends on
    `close`, or when this object or the program ends. A context manager, safe from any thread."""

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._children: list[subprocess.Popen[bytes]] = []
        self._idle: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._closed = False
        weakref.finalize(self, _end, self._children)

    def decode(self, data: bytes, prepare: Prepare) -> Decoded:
        """Decode the bytes of a picture file in a child, as `read_picture` does, and `prepare` it.

        Raises PictureError with a plain reason if the bytes are not a picture, or if the child took
        too long, ran out of memory or died; another child then takes its place. Raises EncoderError
        if `prepare` cannot be pickled or fails.
        """
        return self._ask(partial(_decode, prepare), data)

    def call(self, work: Callable[[], T]) -> T:
        """Return what `work` returns in a child, for pictures that are not bytes in memory.

        `work` must be picklable, else EncoderError. Raises PictureError as `decode` does, and
        whatever `work` raises.
        """
        return self._ask(partial(_call, work))

    def close(self) -> None:
        """Kill all children. A thread that waits for one gets a PictureError."""
        with self._lock:
            self._closed = True
            for child in self._children:
                child.kill()
            idle = list(self._idle)
            self._idle.clear()
        for child in idle:  # the others are buried by the threads that wait for them
            self._bury(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, work: Callable[[bytes], T], data: bytes = b"") -> T:
        """What ``work(data)`` returns in a child; `data` may be large."""
        try:
            pickled = pickle.dumps(work)
        except Exception as error:
            raise _unusable(error) from error
        child, requests, answers = self._take()
        try:
            pickle.dump((data, pickled), requests, pickle.HIGHEST_PROTOCOL)
            requests.flush()
            failed, answer = pickle.load(answers)
        except (OSError, EOFError, pickle.UnpicklingError):
            raise PictureError(self._bury(child)) from None
        except BaseException:  # interrupted: nobody knows what the child would answer next
            child.kill()
            self._bury(child)
            raise
        with self._lock:
            self._idle.append(child)
            stopped = self._closed
        if stopped:
            self._bury(child)
        if failed:
            raise answer
        result: T = answer
        return result

    def _take(self) -> tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]:
        """An idle child that is alive, else a new one, with the streams to it and from it."""
        while True:
            with self._lock:
                child = self._idle.pop() if self._idle else None
            if child is None:
                child = self._start()
            elif child.poll() is not None:
                self._bury(child)
                continue
            assert child.stdin is not None
            assert child.stdout is not None
            return child, child.stdin, child.stdout

    def _start(self) -> subprocess.Popen[bytes]:
        # Not `multiprocessing`: it would run the user's main script again in every child. A child
        # finds modules where this process does, not in a folder nearby that is named "encoder".
        paths = [os.path.abspath(path) for path in sys.path]
        code = (
            f"import sys; sys.path[:] = {paths!r}; from encoder.pictures.decoders import serve;"
            f" serve({self._timeout!r})"
        )
        with self._lock:
            if self._closed:
                raise PictureError(_STOPPED)
            child = subprocess.Popen(
                [sys.executable, "-I", "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # NumPy would start a thread, with memory of its own, for every core.
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                process_group=0,  # Ctrl-C in the terminal is for the parent alone
            )
            self._children.append(child)
        assert child.stdout is not None
        if child.stdout.read(1) == _READY:
            return child
        reason = self._bury(child)
        if self._closed:
            raise PictureError(_STOPPED)
        raise EncoderError(
            f"no process that decodes pictures could be started: it {reason}; check the"
            " installation"
        )

    def _bury(self, child: subprocess.Popen[bytes]) -> str:
        """Wait for a child that is dying, or was stopped in its answer, and say why it died."""
        with self._lock:
            if child in self._children:
                self._children.remove(child)
        code = _let_go(child)
        if code == -signal.SIGALRM:
            return f"took longer than {self._timeout:g} s to decode"
        return f"crashed the decoder ({f'signal {-code}' if code < 0 else f'exit status {code}'})"


def children_for(pictures: int, most: int) -> int:
    """How many children, at least 1 and at most `most`, decode that many pictures soonest."""
    return max(1, min(most, -(-pictures // PICTURES_A_CHILD)))


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    """End the children of a `Decoders` that nobody closed."""
    for child in list(children):
        child.kill()
        _let_go(child)


def _let_go(child: subprocess.Popen[bytes]) -> int:
    assert child.stdin is not None
    assert child.stdout is not None
    with suppress(OSError):  # half a request may still be waiting to be sent
        child.stdin.close()
    child.stdout.close()
    return child.wait()


def _unusable(error: Exception) -> EncoderError:
    return EncoderError(
        "the encoder's `prepare`, or a dataset's kind of picture, cannot be used in another process"
        f" ({type(error).__name__}: {error}); make it a function, or a method of a small class, of"
        " a module that can be imported"
    )


def _decode(prepare: Prepare, data: bytes) -> Decoded:
    picture = read_picture(io.BytesIO(data))
    try:
        pixels = prepare(picture.image)
    except MemoryError:
        raise
    except Exception as error:
        raise _unusable(error) from None
    about = replace(picture, image=_WITHOUT_PIXELS)
    return Decoded(pixels, picture.width, picture.height, about)


def _call(work: Callable[[], T], data: bytes) -> T:
    return work()


def serve(timeout: float) -> None:
    """Answer requests until stdin ends, which it does when the parent dies."""
    # The kernel's own alarm, whatever the parent did with it, also ends a loop in C.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    most = MAX_MEMORY if hard == resource.RLIM_INFINITY else min(MAX_MEMORY, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    for noisy in (1, 2):  # decoders written in C print what they like
        os.dup2(silence, noisy)
    answers.write(_READY)
    answers.flush()
    with suppress(EOFError, BrokenPipeError, pickle.UnpicklingError):
        while True:
            _answer_one(requests, answers, timeout)
            gc.collect()  # an error holds the frames it was raised among, and those the pixels
            gc.freeze()  # the modules loaded so far need not be looked at again


def _answer_one(requests: IO[bytes], answers: IO[bytes], timeout: float) -> None:
    data, pickled = pickle.load(requests)
    answer: tuple[bool, Any]
    try:
        work = _unpickled(pickled)  # before the alarm is set: it may import modules
    except Exception as error:
        answer = True, _unusable(error)
    else:
        signal.setitimer(signal.ITIMER_REAL, timeout)
        try:
            answer = False, work(data)
        except MemoryError:
            answer = True, PictureError("not enough memory to decode it")
        except Exception as error:
            answer = True, error
        signal.setitimer(signal.ITIMER_REAL, 0)
    pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
    answers.flush()


@lru_cache(maxsize=1)
def _unpickled(pickled: bytes) -> Callable[[bytes], Any]:
    work: Callable[[bytes], Any] = pickle.loads(pickled)
    return work
