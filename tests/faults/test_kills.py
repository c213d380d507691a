"""A process that is killed at any moment, again and again, loses nothing that it acknowledged."""

import random
import signal

import pytest

from tests.faults import strike
from tests.faults.checker import Promise, check, contents, look, pending, stored
from tests.faults.operations import paint
from tests.faults.tally import assert_sound

KILLS = 8
"""Kills of one library; 25 libraries make 200."""

NEW = 16
"""Pictures added between two kills."""


class Growing:
    """A folder in which pictures are added, changed, moved and deleted."""

    def __init__(self, folder, chance):
        self.folder, self.chance, self.painted, self.names = folder, chance, 0, []
        folder.mkdir()

    def paint(self, name):
        self.painted += 1
        paint(self.folder, name, self.painted)

    def change(self):
        if self.names:
            self.chance.shuffle(self.names)
            gone, moved, *_ = self.names
            (self.folder / gone).unlink()
            self.names[:2] = [f"{self.painted}-moved.png"]
            (self.folder / moved).rename(self.folder / self.names[0])
            self.paint(self.names[-1])
        for _ in range(NEW):
            self.names.append(f"{self.painted}.png")
            self.paint(self.names[-1])


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 25))]
)
def test_killed_at_any_moment(seed, tally, tmp_path):
    row, chance = tally("timed kill", "index, rebuild, ..."), random.Random(seed)
    folder = tmp_path / "photos"
    growing = Growing(folder, chance)
    commands = [
        ["index", str(folder), "--batch-size", "2"],
        ["rebuild", "--library", str(folder)],
    ]
    growing.change()
    whole = strike.run(commands, tmp_path / "whole")
    assert (whole.status, whole.committed) == (0, NEW)
    for kill in range(KILLS):
        growing.change()
        before, after = stored(folder), contents(folder)
        moment = chance.uniform(0, 1.2 * whole.seconds)
        end = strike.run(commands, tmp_path / str(kill), kill_after=moment)
        where = f"library {seed}, kill {kill} after {moment:.3f} s"
        row.count(end.status)
        if end.status != -signal.SIGKILL:
            row.uncaught.append(f"{where}: it ended with {end.status} and said {end.stderr}")
        done = pending(before, after)[: end.committed]
        promise = Promise(before, after, [place for places in done for place in places])
        look(folder, promise, row, where)
    check(folder, Promise(stored(folder), contents(folder), []), commands, row, f"library {seed}")
    assert_sound([row])
