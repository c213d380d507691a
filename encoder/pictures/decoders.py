"""Decode pictures in child processes: damaged bytes may hang, crash or starve a decoder, and then
cost one picture and never the program.

`Decoders` is the parent's side, `serve` the child's. They speak in pickles over the child's stdin
and stdout and trust each other: what is not trusted are the pictures.
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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from types import TracebackType
from typing import IO, Self

from PIL import Image

from encoder.errors import EncoderError, PictureError
from encoder.pictures.picture import Picture, read_picture
from encoder.protocol import Pixels

TIMEOUT = 10.0
"""Seconds that one picture may take."""
MAX_MEMORY = 1_400_000_000
"""Bytes of data that a child may hold; with its code and libraries it stays below 1.5 GB."""

Prepare = Callable[[Image.Image], Pixels]

_READY = b"!"
_STOPPED = "not decoded: the work was stopped"
_WITHOUT_PIXELS = Image.new("RGB", (0, 0))


@dataclass(frozen=True)
class Decoded:
    """What a child made of a picture."""

    pixels: Pixels
    """As `prepare` left them."""
    width: int
    """Pixels of the whole picture, upright."""
    height: int
    about: Picture
    """What the file says of it; its `image` is empty."""


class Decoders:
    """Child processes that decode, at most one for every thread that is decoding at the same time,
    started when first needed and killed on leaving. A context manager, safe from any thread."""

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._children: list[subprocess.Popen[bytes]] = []
        self._idle: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._closed = False

    def decode(self, data: bytes, prepare: Prepare) -> Decoded:
        """Decode the bytes of a picture file as `read_picture` does, and `prepare` it over there.

        Raises PictureError with a plain reason, also where the child took too long, ran out of
        memory or died; it is replaced. EncoderError where `prepare` cannot be pickled or fails.
        """
        try:
            pickled = pickle.dumps(prepare)
        except Exception as error:
            raise _unusable(error) from error
        child, requests, answers = self._take()
        try:
            pickle.dump((data, pickled), requests, pickle.HIGHEST_PROTOCOL)
            requests.flush()
            answer = pickle.load(answers)
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
        if isinstance(answer, Exception):
            raise answer
        decoded: Decoded = answer
        return decoded

    def close(self) -> None:
        """Kill all children; whoever is in `decode` gets a PictureError."""
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
        # Not `multiprocessing`: it would run the user's main script again in every child. The
        # modules are found where they are found here, not in a folder named "encoder" nearby.
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
                process_group=0,  # Ctrl-C in the terminal is for us alone
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


def _let_go(child: subprocess.Popen[bytes]) -> int:
    assert child.stdin is not None
    assert child.stdout is not None
    with suppress(OSError):  # half a request may still be waiting to be sent
        child.stdin.close()
    child.stdout.close()
    return child.wait()


def _unusable(error: Exception) -> EncoderError:
    return EncoderError(
        "the encoder's `prepare` cannot be used in another process"
        f" ({type(error).__name__}: {error}); make it a function, or a method of a small class, of"
        " a module that can be imported"
    )


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
    gc.freeze()
    with suppress(EOFError, BrokenPipeError, pickle.UnpicklingError):
        while True:
            _answer_one(requests, answers, timeout)
            gc.collect()  # an error holds the frames, and those the pixels, it was raised among


def _answer_one(requests: IO[bytes], answers: IO[bytes], timeout: float) -> None:
    data, pickled = pickle.load(requests)
    signal.setitimer(signal.ITIMER_REAL, timeout)
    answer = _answer(data, pickled)
    signal.setitimer(signal.ITIMER_REAL, 0)
    pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
    answers.flush()


def _answer(data: bytes, pickled: bytes) -> Decoded | PictureError | EncoderError:
    try:
        prepare = _unpickled(pickled)
    except Exception as error:
        return _unusable(error)
    try:
        picture = read_picture(io.BytesIO(data))
        pixels = prepare(picture.image)
    except PictureError as error:
        return error
    except MemoryError:
        return PictureError("not enough memory to decode it")
    except Exception as error:
        return _unusable(error)
    about = replace(picture, image=_WITHOUT_PIXELS)
    return Decoded(pixels, picture.width, picture.height, about)


@lru_cache(maxsize=1)
def _unpickled(pickled: bytes) -> Prepare:
    prepare: Prepare = pickle.loads(pickled)
    return prepare
