"""From a disk that cannot be read comes the right answer, or one line that says what failed."""

import json

import pytest

from tests.faults import strike
from tests.faults.operations import prepared
from tests.faults.strike import READING
from tests.faults.tally import assert_sound, spread
from tests.faults.test_calls import unexpected

QUESTIONS = {
    "search": ["search", "red", "-k", "9", "--json", "--library"],
    "status": ["status", "--json", "--library"],
}
SAMPLE = 2


@pytest.mark.parametrize("extent", ["sample", pytest.param("every", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", QUESTIONS)
def test_struck_at_a_read(name, extent, strace, tally, tmp_path):
    folder, row = tmp_path / "photos", tally("unreadable", name)
    prepared("rebuild", folder)
    commands = [[*QUESTIONS[name], str(folder)]]
    options = strike.tracing(calls=READING)
    clean = strike.run(commands, tmp_path / "clean", strace=options)
    assert (clean.status, clean.stderr) == (0, "")
    points = strike.points(clean.trace, folder / ".align", READING)
    assert {"read", "pread64", "openat"} <= {point.call for point in points}
    for number, point in enumerate(points if extent == "every" else spread(points, SAMPLE)):
        options = strike.striking(point, "error=EIO")
        end = strike.run(commands, tmp_path / str(number), strace=options)
        row.count(end.status)
        if end.status == 0:
            if answer(end) != answer(clean):
                row.wrong.append(f"{point}: {end.stdout} instead of {clean.stdout}")
        else:
            row.uncaught += [f"{point}: {problem}" for problem in unexpected("I/O error", end)]
    assert_sound([row])


def answer(end):
    """What it printed, without the reason for a slow search."""
    return [json.loads(line) | {"degraded": None} for line in end.stdout.splitlines()]
