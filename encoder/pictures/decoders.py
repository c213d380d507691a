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
from typing import IO, Any, Self, TypeVar, cast

from PIL import Image

from encoder.errors import EncoderError, PassingPictureError, PictureError
from encoder.pictures.picture import Picture, read_picture
from encoder.protocol import Pixels
from encoder.system import leave_to_parent, watch_forks

TIMEOUT = 10.0
"""Seconds of processor time that one picture may take, however busy the machine is."""
PATIENCE = 120.0
"""Seconds after which a child that does not answer is given up, whatever it waits for."""
MAX_MEMORY = 1_400_000_000
"""Bytes of data that a child may hold; with its code and libraries it stays below 1.5 GB."""
PICTURES_A_CHILD = 4
"""Fewer pictures are decoded in less time than a child takes to start."""

Prepare = Callable[[Image.Image], Pixels]
T = TypeVar("T")

_READY = b"!"
_STOPPED = "not decoded: the work was stopped"
_NO_MEMORY = "not enough memory to decode it"
_SHORT_OF_MEMORY = 75
"""Exit status of a child that had no memory for the question itself."""
_STOPPING = frozenset(
    {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU}
)
"""Signals that come from outside: bytes cannot make a process send them to itself by accident."""
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

    def __init__(self, timeout: float = TIMEOUT, patience: float = PATIENCE) -> None:
        self._limits = timeout, patience
        self._children: list[subprocess.Popen[bytes]] = []
        self._idle: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._closed = False
        weakref.finalize(self, _end, self._children)
        watch_forks(self)

    def after_fork(self) -> None:
        """The children are those of the parent process: this one starts its own."""
        for child in self._children:
            leave_to_parent(child)
            for stream in (child.stdin, child.stdout):
                cast(Any, stream).raw.close()  # what is in the buffer is not ours to send
        self._children.clear()
        self._idle.clear()
        self._lock = threading.Lock()

    def decode(self, data: bytes, prepare: Prepare) -> Decoded:
        """Decode the bytes of a picture file in a child, as `read_picture` does, and `prepare` it.

        Raises PictureError with a plain reason if the bytes are not a picture, or if they took too
        long, needed too much memory or crashed the child; another child then takes its place.
        Raises PassingPictureError if the cause may lie elsewhere: the system stopped the child or
        was short of memory, or the child did not answer. Raises EncoderError if `prepare` cannot be
        pickled or fails.
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
            raise self._bury(child) from None
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
            f" serve(*{self._limits!r})"
        )
        with self._lock:
            if self._closed:
                raise PassingPictureError(_STOPPED)
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
            raise PassingPictureError(_STOPPED)
        raise EncoderError(
            f"no process that decodes pictures could be started: it {reason}; check the"
            " installation"
        )

    def _bury(self, child: subprocess.Popen[bytes]) -> PictureError:
        """Wait for a child that is dying, or was stopped in its answer, and say why it died."""
        with self._lock:
            if child in self._children:
                self._children.remove(child)
        code = _let_go(child)
        timeout, patience = self._limits
        if code == -signal.SIGPROF:
            return PictureError(f"took longer than {timeout:g} s to decode")
        if code == -signal.SIGALRM:
            return PassingPictureError(f"was not decoded within {patience:g} s")
        if code == _SHORT_OF_MEMORY:
            return PassingPictureError(_NO_MEMORY)
        if code < 0 and -code in _STOPPING:
            return PassingPictureError(f"the system stopped its decoder (signal {-code})")
        what = f"signal {-code}" if code < 0 else f"exit status {code}"
        return PictureError(f"crashed the decoder ({what})")


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


def serve(timeout: float, patience: float) -> None:
    """Answer requests until stdin ends, which it does when the parent dies."""
    # The kernel's own alarms, whatever the parent did with them, also end a loop in C.
    for alarm in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(alarm, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPROF, signal.SIGALRM])
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    most = MAX_MEMORY if hard == resource.RLIM_INFINITY else min(MAX_MEMORY, hard)
    with suppress(ValueError, OSError):  # some systems, such as macOS, may refuse this limit
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
            _answer_one(requests, answers, timeout, patience)
            gc.collect()  # an error holds the frames it was raised among, and those the pixels
            gc.freeze()  # the modules loaded so far need not be looked at again


def _answer_one(requests: IO[bytes], answers: IO[bytes], timeout: float, patience: float) -> None:
    try:
        data, pickled = pickle.load(requests)
    except MemoryError:
        os._exit(_SHORT_OF_MEMORY)
    answer: tuple[bool, Any]
    try:
        work = _unpickled(pickled)  # before the alarms are set: it may import modules
    except Exception as error:
        answer = True, _unusable(error)
    else:
        _set_alarms(timeout, patience)
        try:
            answer = False, work(data)
        except (MemoryError, PassingPictureError):
            passing = _is_shortage_of_the_system()
            answer = True, (PassingPictureError if passing else PictureError)(_NO_MEMORY)
        except Exception as error:
            answer = True, error
        _set_alarms(0, 0)
    pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
    answers.flush()


def _set_alarms(timeout: float, patience: float) -> None:
    signal.setitimer(signal.ITIMER_PROF, timeout)
    signal.setitimer(signal.ITIMER_REAL, patience)


def _is_shortage_of_the_system() -> bool:
    """Whether memory may be short for another reason than `MAX_MEMORY`."""
    limits = resource.getrlimit(resource.RLIMIT_DATA)[0], resource.getrlimit(resource.RLIMIT_AS)[0]
    if limits != (MAX_MEMORY, resource.RLIM_INFINITY):
        return True
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            free = next(int(line.split()[1]) for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return True
    return 1024 * free < MAX_MEMORY


@lru_cache(maxsize=1)
def _unpickled(pickled: bytes) -> Callable[[bytes], Any]:
    work: Callable[[bytes], Any] = pickle.loads(pickled)
    return work
