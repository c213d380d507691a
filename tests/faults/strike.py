"""Start the worker, trace its system calls, and strike it."""

import multiprocessing
import re
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults import worker

WRITING = (
    *("write", "writev", "pwrite64", "pwritev", "pwritev2", "ftruncate", "fallocate"),
    *("fsync", "fdatasync", "sync_file_range", "rename", "renameat", "renameat2"),
    *("unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "link", "linkat", "symlink", "symlinkat"),
    *("open", "openat", "creat"),
)
"""System calls that change what is on a disk. An open counts if it may create a file."""

READING = ("read", "pread64", "open", "openat")
"""System calls that read what is on a disk."""

_LIMIT = 120
"""Seconds after which a worker counts as hanging."""

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.faults.worker"])


@dataclass(frozen=True)
class Point:
    """The n-th call of one name, counted from 1, that a worker makes in its main thread."""

    call: str
    n: int


@dataclass(frozen=True)
class End:
    """How a worker ended."""

    status: int
    """The exit status; negative for a signal."""
    stdout: str
    stderr: str
    seconds: float
    """From the start of its first command."""
    trace: list[str]
    """System calls of its main thread, one a line."""

    @property
    def committed(self) -> int:
        """How many files it reported as committed."""
        return sum(int(n) for n in re.findall(r"^committed (\d+)$", self.stdout, re.MULTILINE))


def run(
    commands: Sequence[Sequence[str]],
    output: Path,
    *,
    strace: Sequence[str] = (),
    kill_after: float | None = None,
) -> End:
    """Run `commands` in a new worker, under strace if there are options for strace. With
    `kill_after` the worker repeats the last command and is killed after so many seconds.
    """
    output.mkdir()
    ours, its = _processes.Pipe()
    process = _processes.Process(
        target=worker.run, args=(its, commands, kill_after is not None, output)
    )
    process.start()
    ours.recv()
    tracer = _attach(process.pid, output, strace) if strace else None
    ours.send(None)
    started = time.monotonic()
    if kill_after is not None:
        time.sleep(kill_after)
        process.kill()
    process.join(_LIMIT)
    if process.exitcode is None:
        process.kill()
        raise AssertionError(f"{commands} hangs")
    seconds = time.monotonic() - started
    if tracer:
        tracer.communicate(timeout=_LIMIT)
    trace = output / "trace"
    return End(
        process.exitcode,
        (output / "stdout").read_text(),
        (output / "stderr").read_text(),
        seconds,
        trace.read_text().splitlines() if trace.exists() else [],
    )


def _attach(pid: int | None, output: Path, options: Sequence[str]) -> subprocess.Popen[str]:
    # Without -f strace traces only the main thread, which is the one that writes.
    command = ["strace", "-y", "-o", str(output / "trace"), "-p", str(pid), *options]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    said = tracer.stderr.readline()
    if "attached" not in said:
        tracer.communicate()
        raise AssertionError(f"strace: {said}")
    return tracer


def tracing(*more: str, calls: Sequence[str] = WRITING) -> list[str]:
    """Options of strace that trace some calls; calls that this machine lacks are ignored."""
    return ["-e", "trace=" + ",".join(f"?{call}" for call in calls), *more]


def striking(point: Point, how: str, *, lasting: bool = False) -> list[str]:
    """Options of strace that do `how` at one point; if `lasting`, at all such calls after it."""
    when = f"{point.n}+" if lasting else str(point.n)
    return ["-e", f"trace={point.call}", "-e", f"inject={point.call}:{how}:when={when}"]


def points(trace: Sequence[str], folder: Path, calls: Sequence[str] = WRITING) -> list[Point]:
    """The calls in a trace that concern files below `folder`, in order."""
    counts = Counter[str]()
    found = []
    for line in trace:
        call = line.split("(", 1)[0]
        counts[call] += 1
        below = f'"{folder}/' in line or f"<{folder}/" in line
        makes_nothing = call.startswith("open") and "O_CREAT" not in line
        if below and call in calls and not (calls is WRITING and makes_nothing):
            found.append(Point(call, counts[call]))
    return found
