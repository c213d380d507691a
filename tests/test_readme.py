"""What the README promises holds."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from encoder.scenes import BACKGROUNDS, COLOURS, KINDS, make_scene
from retrieval.cli import main
from retrieval.cli.commands import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_every_command_is_in_the_table_and_none_beyond() -> None:
    named = re.findall(r"^\| `align (\w+)", README, re.MULTILINE)
    assert named == list(COMMANDS)


def test_the_commands_shown_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake (\w+)\b", README.replace("and make.", "")):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for name in re.findall(r"\balign (\w+) ~/Pictures", README):
        assert name in COMMANDS


def test_the_files_linked_exist() -> None:
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_map_names_every_folder() -> None:
    shown = set(re.findall(r"^    (\w+)/ ", README, re.MULTILINE))
    ours = [p for p in ROOT.iterdir() if p.is_dir() and p.name.isidentifier()]
    assert shown == {p.name for p in ours if next(p.glob("**/*.[pm][yd]"), None)}


def test_the_numbers_of_align_mini() -> None:
    said = f"{len(KINDS)} kinds of thing, {len(COLOURS)} colours, {len(BACKGROUNDS)} backgrounds"
    assert said in README.replace("\n", " ")


def test_the_python_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = tmp_path / "Pictures"
    pictures.mkdir()
    for seed in range(7):
        make_scene(seed).draw(128).save(pictures / f"{seed}.png")
    indexed = CliRunner().invoke(main, ["index", str(pictures), "--model", "align-mini"])
    assert indexed.exit_code == 0, indexed.output
    monkeypatch.setenv("HOME", str(tmp_path))
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(example.strip().splitlines()) <= 6
    exec(compile(example, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    scores = [float(line.split()[0]) for line in lines]
    assert scores == sorted(scores, reverse=True)
    assert all(Path(line.split(maxsplit=1)[1]).parent == pictures for line in lines)
