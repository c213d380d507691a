"""The table of what was struck, and what happened."""

import os
import shutil
import subprocess

import pytest

from tests.faults.tally import Tally, table

_tallies = pytest.StashKey[list[Tally]]()


def pytest_configure(config):
    config.stash[_tallies] = []


@pytest.fixture
def tally(request):
    """A function that adds a row to the table printed at the end."""

    def make(fault, operation):
        made = Tally(fault, operation)
        request.config.stash[_tallies].append(made)
        return made

    return make


def pytest_terminal_summary(terminalreporter, config):
    if tallies := config.stash.get(_tallies, []):
        terminalreporter.section("faults")
        terminalreporter.write("\n".join(table(tallies)) + "\n")


@pytest.fixture(scope="session")
def strace():
    """Skip the test where processes cannot be traced."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed (apt-get install strace): nothing was struck")
    tried = subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True)
    if tried.returncode:
        pytest.skip(f"strace may not trace here: {tried.stderr.decode().strip()}")
