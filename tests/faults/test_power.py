"""After a power loss, changes that were not synced may be lost, torn or kept in any order."""

import shutil

import pytest

from tests.faults import strike
from tests.faults.checker import Promise, check, contents, pending
from tests.faults.operations import OPERATIONS, prepared
from tests.faults.power import FATES, KEPT, LOST, RECORDING, Disk, fate
from tests.faults.tally import Tally, assert_sound, spread

SAMPLE = 3
"""Moments that a quick run tries in each operation."""

SEEDS = 2
"""Random fates of each moment when all moments are tried."""


@pytest.fixture
def record(strace, tmp_path):
    """Run the operation of a name. Returns the items before, what the library must hold after, the
    disk before, and the trace."""

    def run(name):
        folder = tmp_path / "photos"
        before = prepared(name, folder)
        disk = Disk(folder / ".align")
        commands, options = OPERATIONS[name].commands(folder), strike.tracing(*RECORDING)
        end = strike.run(commands, tmp_path / "recorded", strace=options)
        assert (end.status, end.stderr) == (0, "")
        return before, contents(folder), disk, end.trace

    return run


@pytest.fixture
def fail(tmp_path):
    """Let the power fail after each of the `moments`, and check what is left."""

    def run(name, recorded, moments, fates, row):
        before, after, disk, trace = recorded
        files = pending(before, after)
        image = tmp_path / "image"
        for number, line in enumerate(trace):
            disk.repeat(line)
            acknowledged = [place for places in files[: disk.committed] for place in places]
            for said, chance in fates(number).items() if number in moments else ():
                shutil.copytree(tmp_path / "photos", image, ignore=lambda *_: {".align"})
                disk.write(image / ".align", chance)
                row.points += 1
                where = f"call {number}, {said}"
                commands = OPERATIONS[name].finishing(image)
                check(image, Promise(before, after, acknowledged), commands, row, where)
                shutil.rmtree(image)
        assert disk.committed == len(files)

    return run


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_replay_makes_the_same_files(name, record, tmp_path):
    *_, disk, trace = record(name)
    for line in trace:
        disk.repeat(line)
    disk.write(tmp_path / "image", FATES[KEPT])
    assert files_in(tmp_path / "image") == files_in(tmp_path / "photos/.align")


def files_in(folder):
    return {
        str(path.relative_to(folder)): path.is_file() and path.read_bytes()
        for path in folder.rglob("*")
        if not path.name.endswith("-shm")
    }


def test_a_disk_that_does_not_sync_would_be_noticed(record, fail):
    before, after, disk, trace = record("index again")
    trace = [line for line in trace if "sync" not in line.split("(")[0]]
    row = Tally("power loss", "index again")
    nothing = {"nothing": FATES[LOST]}
    fail("index again", (before, after, disk, trace), [len(trace) - 1], lambda _: nothing, row)
    assert len(row.lost) == 5  # a changed picture, a moved one, two new ones and a new line


def some_fates(number):
    return {"a random fate": fate(number), LOST: FATES[LOST]}


def all_fates(number):
    return FATES | {f"fate {seed}": fate(seed) for seed in range(number, 1000 * SEEDS, 1000)}


@pytest.mark.parametrize("extent", ["sample", pytest.param("every", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", OPERATIONS)
def test_power_loss(name, extent, record, fail, tally):
    recorded = record(name)
    moments = range(len(recorded[-1]))
    row = tally("power loss", name)
    if extent == "every":
        fail(name, recorded, moments, all_fates, row)
    else:
        fail(name, recorded, [*spread(moments, SAMPLE), moments[-1]], some_fates, row)
    assert_sound([row])
