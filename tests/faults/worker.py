"""The process that is struck: it runs the real command line with an encoder without weights."""

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

import encoder
import encoder.pictures.picture
from encoder.fake import FakeEncoder
from indexer import NullProgress
from retrieval.cli import main

# Loaded before the process is forked, so that strikes hit the work and not the imports.
for name in (
    "alembic.command",
    "indexer.ann.faiss_index",
    *(f"retrieval.cli.{command}" for command in ("index", "rebuild", "search", "status")),
):
    import_module(name)

_PR_SET_PTRACER, _ANYONE = 0x59616D61, ctypes.c_ulong(-1)


class Acknowledge(NullProgress):
    """Prints how many files are committed, as soon as the library promises it."""

    def advance(self, steps: int) -> None:
        os.write(1, b"committed %d\n" % steps)


@contextmanager
def fake_model() -> Iterator[None]:
    """Make every command use a FakeEncoder, and one child that decodes pictures."""
    # Starting a child takes longer than all other work of a strike.
    one_child = patch("encoder.pictures.decoders.PICTURES_A_CHILD", 100)
    # Not `patch`, which would first look up the real one and load torch for that.
    with one_child, patch.dict(vars(encoder), load_encoder=lambda name, device: FakeEncoder()):
        yield


def run(ready: Connection, commands: Sequence[Sequence[str]], endless: bool, output: Path) -> None:
    """Report on `ready` that the process has started, wait for the answer, and run the command
    lines one after another until one fails. With `endless`, repeat the last command for ever. The
    exit status is that of the last command; stdout and stderr go to files in the folder `output`.
    """
    for number, name in enumerate(["stdout", "stderr"], 1):
        os.dup2(os.open(output / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), number)
    # Let strace attach, even where a process may trace only its own children.
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, _ANYONE)
    ready.send(None)
    ready.recv()
    status, waiting = 0, list(commands)
    with fake_model(), patch("retrieval.cli.index.ProgressBar", Acknowledge):
        while waiting and not status:
            status = _status(waiting[0])
            if not endless or len(waiting) > 1:
                del waiting[0]
    os._exit(status)


def _status(arguments: Sequence[str]) -> int:
    try:
        main(list(arguments))
    except SystemExit as end:
        return int(end.code or 0)
    raise AssertionError("the command line must end by exiting")
