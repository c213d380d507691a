"""`align demo`, mostly with fewer pictures than a user gets."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from encoder import load_encoder
from encoder.scenes import make_scene
from retrieval.cli import demo, main
from tests.test_readme import terminal_answer

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
    with Image.open(few / "tour" / "results.png") as sheet:
        assert sheet.width > 1000

    for line in result.stderr.splitlines():
        if line.startswith(("  align search", "  align similar")):
            said = line.replace('"two red birds"', "birds").split()[1:]
            assert CliRunner().invoke(main, said).exit_code == 0

    again = CliRunner().invoke(main, ["demo", "tour"])
    assert "indexed 0 new pictures" in again.stderr
    assert again.stdout == result.stdout

    status = CliRunner().invoke(main, ["status", "--library", "tour", "--json"])
    assert json.loads(status.stdout)["counts"] == {"image": FEW, "text": 0}


RIGHT = {
    "an elephant in the snow": lambda s, t: t.kind == "elephant" and s.background == "snow",
    "a bus at night": lambda s, t: t.kind == "bus" and s.background == "night",
    "a butterfly in a field": lambda s, t: t.kind == "butterfly" and s.background == "field",
    "a balloon in the city": lambda s, t: t.kind == "balloon" and s.background == "city",
    "a brown mushroom": lambda s, t: t.kind == "mushroom" and t.colour == "brown",
}


def test_the_hits_are_mostly_right() -> None:
    """All pictures that a user gets; a hit is right if the scene was drawn with the thing."""
    encoder = load_encoder("align-mini", device="cpu")
    scenes = [make_scene(demo.FIRST_SEED + i) for i in range(demo.PICTURES)]
    images = encoder.encode_images([encoder.prepare(scene.draw(224)) for scene in scenes])
    assert tuple(RIGHT) == demo.QUESTIONS
    found = encoder.encode_texts(demo.QUESTIONS) @ images.T
    for (question, is_right), scores in zip(RIGHT.items(), found, strict=True):
        best = [scenes[i] for i in np.argsort(-scores)[: demo.HITS]]
        right = [any(is_right(scene, thing) for thing in scene.things) for scene in best]
        assert right[0], question
        assert sum(right) >= 4, question

    question, shown = terminal_answer()
    best_first = np.argsort(-found[demo.QUESTIONS.index(question)])
    assert [demo._name(int(i)) for i in best_first[: len(shown)]] == [name for _, _, name in shown]


def test_the_demo_leaves_other_folders_alone(few: Path) -> None:
    (few / "mine").mkdir()
    (few / "mine" / "letter.txt").write_text("dear you")
    result = CliRunner().invoke(main, ["demo", "mine"])
    assert result.exit_code == 1
    assert result.stderr == (
        "align: mine holds other files: name a new folder, as in align demo NEW\n"
    )
    assert [path.name for path in (few / "mine").iterdir()] == ["letter.txt"]


def test_pictures_of_ones_own_are_shown_and_left_alone(few: Path) -> None:
    for name, seeds in (("one", range(8)), ("two", range(20, 26))):
        (few / name).mkdir()
        for seed in seeds:
            make_scene(seed).draw(64).save(few / name / f"{seed}.png")
    (few / "one" / "broken.jpg").write_bytes(b"no picture")
    before = {path: path.stat().st_mtime_ns for path in few.rglob("*")}
    asked = ["--question", "a red bus", "--question", "a cat"]
    result = CliRunner().invoke(main, ["demo", "tour", "--pictures", "one", *asked])
    assert result.exit_code == 0, result.output
    assert {p: p.stat().st_mtime_ns for p in before if p != few} == {
        p: ns for p, ns in before.items() if p != few
    }
    assert sorted(p.name for p in few.iterdir()) == ["one", "tour", "two"]
    assert "indexed 8 new pictures" in result.stderr
    assert "--under" not in result.stderr
    assert "1 file cannot be read: see align failures --library tour\n" in result.stderr
    assert "note:" not in result.stderr
    status = CliRunner().invoke(main, ["status", "--library", "tour", "--json"])
    assert json.loads(status.stdout)["model"]["name"] == "align-small"
    lines = result.stdout.splitlines()
    assert [line for line in lines if line and line[0] != " "] == ["a red bus", "a cat"]
    shown = [line.split()[2] for line in lines if line.startswith(" ")]
    assert len(shown) == 2 * demo.HITS
    assert {Path(path).parent for path in shown} == {few / "one"}
    page = (few / "tour" / "results.html").read_text()
    assert page.count("<img ") == 2 * demo.HITS
    assert page.count('href="../one/') == 2 * demo.HITS

    inside = CliRunner().invoke(main, ["demo", "all/own", "--pictures", "two"])
    around = CliRunner().invoke(main, ["demo", "all"])
    assert (inside.exit_code, around.exit_code) == (0, 0)
    photographs = CliRunner().invoke(main, ["demo", "all", "--pictures", "two"])
    assert photographs.exit_code == 1
    assert photographs.stderr == (
        "align: all holds another demo, whose model knows no photographs: name a new folder\n"
    )
    other = CliRunner().invoke(main, ["demo", "tour", "--pictures", "two"])
    assert other.exit_code == 0, other.output
    assert '  align search "a person" --library tour --under two\n' in other.stderr
    unlike = CliRunner().invoke(main, ["demo", "tour", "--model", "align-mini"])
    assert (unlike.exit_code, unlike.stderr.splitlines()[-1]) == (
        1,
        "align: tour holds a demo of another model than align-mini: name a new folder",
    )
    asked = [line for line in other.stdout.splitlines() if line and line[0] != " "]
    assert tuple(asked) == demo.QUESTIONS_TO_PHOTOGRAPHS
    found = [line.split()[2] for line in other.stdout.splitlines() if line.startswith(" ")]
    assert {Path(path).parent for path in found} == {few / "two"}


def test_a_folder_without_pictures_gives_an_empty_page(few: Path) -> None:
    (few / "none").mkdir()
    result = CliRunner().invoke(main, ["demo", "tour", "--pictures", "none", "--question", "a cat"])
    assert result.exit_code == 1
    assert result.stderr == "align: none holds no pictures: name another folder with --pictures\n"
    assert not (few / "tour").exists()


def test_a_folder_of_broken_pictures_is_not_called_empty(few: Path) -> None:
    (few / "broken").mkdir()
    (few / "broken" / "a.jpg").write_bytes(b"no picture")
    result = CliRunner().invoke(main, ["demo", "tour", "--pictures", "broken"])
    assert result.exit_code == 1
    assert result.stderr == (
        "align: 1 file of broken cannot be read, such as a.jpg (not a picture in a known format),"
        " and there is no picture beside: name another folder with --pictures\n"
    )


@pytest.mark.parametrize("folder", ["own/demo", "own", "link/demo"])
def test_nothing_is_written_among_the_pictures(few: Path, folder: str) -> None:
    (few / "own").mkdir()
    (few / "link").symlink_to(few / "own")
    make_scene(1).draw(64).save(few / "own" / "1.png")
    result = CliRunner().invoke(main, ["demo", folder, "--pictures", "own"])
    assert result.exit_code == 1
    assert "lies in own, into which nothing is written: name a folder elsewhere" in result.stderr
    assert [path.name for path in (few / "own").iterdir()] == ["1.png"]


def test_a_tilde_that_no_shell_replaced(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(few))
    (few / "Pictures").mkdir()
    make_scene(1).draw(64).save(few / "Pictures" / "1.png")
    result = CliRunner().invoke(main, ["demo", "tour", "--pictures", "~/Pictures"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("name", ['Bär\'s "Fotos" & Söhne', "$HOME `x` $(y)", "a # b"])
def test_make_passes_on_any_name(name: str, tmp_path: Path) -> None:
    align = tmp_path / "align"
    align.write_text('#!/bin/sh\nprintf "%s|" "$@"')
    align.chmod(0o755)
    asked = ("demo", f"BIN={tmp_path}", f"PICTURES={name}")
    made = subprocess.run(
        ["make", "-s", "--old-file", ".venv/runtime.stamp", *asked],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == f"demo|demo/own|--pictures|{name}|"


def test_an_empty_question_is_refused(few: Path) -> None:
    result = CliRunner().invoke(main, ["demo", "tour", "--question", " "])
    assert result.exit_code == 2
    assert "is empty: say what to look for" in result.stderr
    assert not (few / "tour").exists()
