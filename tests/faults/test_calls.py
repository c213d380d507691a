"""Strikes at every system call that writes lose nothing and leave nothing wrong."""

import shutil
import signal
from itertools import cycle, product

import pytest

from tests.faults import strike
from tests.faults.checker import Promise, check, contents, pending
from tests.faults.operations import OPERATIONS, prepared
from tests.faults.tally import assert_sound, spread

FAULTS = {"kill -9": "signal=KILL", "disk full": "error=ENOSPC", "I/O error": "error=EIO"}
"""What strace injects."""

SAMPLE = 4
"""Points that a quick run strikes in each operation."""


@pytest.mark.parametrize("extent", ["sample", pytest.param("every", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", OPERATIONS)
def test_struck_at_a_call(name, extent, strace, tally, tmp_path):
    commands = OPERATIONS[name].commands
    template, folder = tmp_path / "template", tmp_path / "photos"
    before = prepared(name, template)
    after = contents(template)
    files = pending(before, after)

    shutil.copytree(template, folder)
    clean = strike.run(commands(folder), tmp_path / "clean", strace=strike.tracing())
    assert (clean.status, clean.stderr) == (0, "")
    assert clean.committed == len(files)
    points = strike.points(clean.trace, folder)
    assert {"pwrite64", "fdatasync", "rename", "fsync", "unlink", "openat"} <= {
        point.call for point in points
    }
    if extent == "every":
        strikes = list(product(FAULTS, points))
    else:
        strikes = list(zip(cycle(FAULTS), spread(points, SAMPLE), strict=False))

    rows = {fault: tally(fault, name) for fault in FAULTS}
    for fault, point in strikes:
        row, output = rows[fault], tmp_path / "struck"
        shutil.rmtree(folder)
        shutil.copytree(template, folder)
        end = strike.run(commands(folder), output, strace=striking(fault, point))
        row.count(end.status)
        row.uncaught += [f"{point}: {problem}" for problem in unexpected(fault, end)]
        acknowledged = [place for places in files[: end.committed] for place in places]
        finishing = OPERATIONS[name].finishing(folder)
        check(folder, Promise(before, after, acknowledged), finishing, row, point)
        shutil.rmtree(output)
    assert_sound(rows.values())


def striking(fault, point):
    # A full disk stays full, except for what the process still has to print.
    lasting = fault == "disk full" and point.call != "write"
    return strike.striking(point, FAULTS[fault], lasting=lasting)


def unexpected(fault, end):
    """What the process did that no process may do after such a fault."""
    if fault == "kill -9":
        if end.status != -signal.SIGKILL:
            yield f"it did not die but ended with {end.status}"
    elif end.status == 1:
        lines = end.stderr.splitlines()
        if len(lines) != 1 or not lines[0].startswith("align: ") or "unexpected" in lines[0]:
            yield f"it said {end.stderr}"
    elif (end.status, end.stderr) != (0, ""):
        yield f"it ended with {end.status} and said {end.stderr}"
