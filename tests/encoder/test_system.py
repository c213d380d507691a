"""Where the programs cannot run, they say so in one sentence."""

import subprocess
import sys

import pytest

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
