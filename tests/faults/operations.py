"""What is struck: operations on a small folder, and how the folder is prepared for them."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner
from PIL import Image

from retrieval.cli import main
from tests.faults.checker import Row, stored
from tests.faults.worker import fake_model

Commands = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Operation:
    """`prepare` fills an empty folder; `commands` are then run on it."""

    prepare: Callable[[Path], None]
    commands: Callable[[Path], Commands]
    finish: Callable[[Path], Commands] | None = None
    """Commands that finish the operation wherever it was struck; None for `commands` again."""

    def finishing(self, folder: Path) -> Commands:
        """The commands that finish the operation."""
        return (self.finish or self.commands)(folder)


def paint(folder: Path, name: str, number: int) -> None:
    """Paint a picture that differs from the picture of every other number."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = (91 * number % 256, number // 256, number % 256)
    Image.new("RGB", (4, 4), colour).save(path)
    settle(path, number)


def settle(path: Path, seconds: int) -> None:
    """Give a file an old date, because a file that has just changed is read again."""
    os.utime(path, (10**9 + seconds,) * 2)


def index(folder: Path) -> Commands:
    """Index in batches of two, so that there is something between the batches."""
    return [["index", str(folder), str(folder / "texts.txt"), "--batch-size", "2"]]


def _files(folder: Path) -> None:
    for number in range(5):
        paint(folder, f"{number}.png", number)
    (folder / "texts.txt").write_text("red\na green thing\nsomething blue\n")
    settle(folder / "texts.txt", 0)


def _indexed(folder: Path) -> None:
    _files(folder)
    run(index(folder))


def _edited(folder: Path) -> None:
    _indexed(folder)
    (folder / "0.png").unlink()
    paint(folder, "1.png", 11)
    (folder / "moved").mkdir()
    (folder / "2.png").rename(folder / "moved/2.png")
    paint(folder, "5.png", 5)
    paint(folder, "6.png", 6)
    (folder / "texts.txt").write_text("something blue\nred\na new line\n")
    settle(folder / "texts.txt", 1)


def _partly_gone(folder: Path) -> None:
    _indexed(folder)
    for name in ("0.png", "1.png"):
        (folder / name).unlink()


def run(commands: Commands) -> None:
    """Run command lines in this process; all must succeed."""
    with fake_model():
        for command in commands:
            done = CliRunner().invoke(main, list(command))
            assert done.exit_code == 0, done.output


def prepared(name: str, folder: Path) -> dict[int, Row]:
    """Make `folder` as the operation of that name expects it. Returns the items in it by id."""
    folder.mkdir()
    OPERATIONS[name].prepare(folder)
    return stored(folder) if (folder / ".align").exists() else {}


OPERATIONS = {
    "index": Operation(_files, index),
    "index again": Operation(_edited, lambda folder: [["index", "--library", str(folder)]]),
    "forget": Operation(
        _partly_gone,
        lambda folder: [
            ["forget", str(folder / "0.png"), str(folder / "1.png"), "--library", str(folder)],
            ["rebuild", "--library", str(folder)],
        ],
        lambda folder: [
            ["index", "--library", str(folder)],
            ["rebuild", "--library", str(folder)],
        ],
    ),
    "rebuild": Operation(_indexed, lambda folder: [["rebuild", "--library", str(folder)]]),
}
