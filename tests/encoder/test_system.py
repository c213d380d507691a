"""Where the programs cannot run, they say so in one sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from encoder import system

WINDOWS = "import sys; sys.platform = 'win32'\n"
NO_RESOURCE = """
import sys
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == 'resource' else find(name, *more)
"""
NO_TIMERS = "import signal; del signal.setitimer\n"
REMEDY = "it runs on Linux and on macOS; on Windows, use it within WSL"


@pytest.mark.parametrize(
    ("system", "sentence"),
    [
        (WINDOWS, "align-retrieval does not run on Windows itself"),
        (NO_RESOURCE, "align-retrieval needs Python's module resource, which is missing"),
        (NO_TIMERS, "align-retrieval needs timers that send signals"),
    ],
    ids=["Windows", "no resource", "no timers"],
)
def test_an_unsupported_system(system: str, sentence: str) -> None:
    command = f"{system}\nfrom retrieval.cli import main\nmain(['--help'])"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"align: {sentence}: {REMEDY}\n"
    code = f"{system}\ntry:\n    import encoder\nexcept ImportError as error:\n    print(error)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == f"{sentence}: {REMEDY}\n"


def test_another_broken_import_is_not_taken_for_it() -> None:
    command = "import sys; sys.modules['click'] = None\nfrom retrieval.cli import main"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert "ModuleNotFoundError" in done.stderr


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "5000 100000\n"}, 1),
        ({"cpu.max": "nonsense"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu.max": "9900000 100000\n"}, 8),
    ],
)
def test_processors_that_a_process_may_use(
    files: dict[str, str], wanted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(system, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert system.processors() == wanted


def test_the_affinity_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3}, raising=False)
    assert system.processors() == 1
