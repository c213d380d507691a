"""`align demo`, with fewer pictures than a user gets."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from retrieval.cli import demo, main

pytestmark = pytest.mark.align_mini

FEW = 60


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(demo, "PICTURES", FEW)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_demo_draws_indexes_asks_and_shows(few: Path) -> None:
    result = CliRunner().invoke(main, ["demo", "tour"])
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (few / "tour" / "pictures").iterdir())
    assert len(names) == FEW
    assert all(len(Path(name).stem) == 8 and int(Path(name).stem, 16) >= 0 for name in names)

    lines = result.stdout.splitlines()
    for question in demo.QUESTIONS:
        start = lines.index(question)
        assert [line.split()[0] for line in lines[start + 1 : start + 6]] == list("12345")
    page = (few / "tour" / "results.html").read_text()
    assert all(question in page for question in demo.QUESTIONS)
    assert page.count("<img ") == 5 * demo.HITS
    assert Image.open(few / "tour" / "results.png").width > 1000

    for line in result.stderr.splitlines():
        if line.startswith(("  align search", "  align similar")):
            said = line.replace('"two red birds"', "birds").split()[1:]
            assert CliRunner().invoke(main, said).exit_code == 0

    again = CliRunner().invoke(main, ["demo", "tour"])
    assert "indexed 0 new pictures" in again.stderr
    assert again.stdout == result.stdout

    status = CliRunner().invoke(main, ["status", "--library", "tour", "--json"])
    assert json.loads(status.stdout)["counts"] == {"image": FEW, "text": 0}


def test_the_demo_leaves_other_folders_alone(few: Path) -> None:
    (few / "mine").mkdir()
    (few / "mine" / "letter.txt").write_text("dear you")
    result = CliRunner().invoke(main, ["demo", "mine"])
    assert result.exit_code == 1
    assert result.stderr == (
        "align: mine holds other files: name a new folder, as in align demo NEW\n"
    )
    assert [path.name for path in (few / "mine").iterdir()] == ["letter.txt"]
