"""`align rebuild` and `align index --index`."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from encoder import FakeEncoder
from indexer import Library
from retrieval.cli import main


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("encoder.load_encoder", lambda name, device: FakeEncoder())


@pytest.fixture
def shades(tmp_path: Path) -> Path:
    """130 pictures, enough for two lists."""
    for n in range(130):
        Image.new("RGB", (4, 4), (n, 255 - n, 7)).save(tmp_path / f"{n}.png")
    with Library.create(tmp_path) as library:
        library.index([tmp_path], FakeEncoder)
    return tmp_path


def run(*words: str) -> str:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_an_ivf_index_is_built_measured_and_shown(shades: Path) -> None:
    said = run("rebuild", "--index", "ivf", "--library", str(shades)).splitlines()
    assert said[0].startswith("image index:  ivf with 2 lists, 130 items, 0.0 MB, 0 newer, 0 del")
    assert re.fullmatch(
        r" +recall@10 \d\.\d{3} in \d+\.\d ms, recall@100 1\.000 in \d+\.\d ms, measured with 500"
        r" everyday phrases",
        said[1],
    )
    assert re.fullmatch(
        r" +with filters \d\.\d{3} or more \(recall@10+ in \d+\.\d ms among [a-z ]+\)", said[2]
    )
    status = run("status", "--library", str(shades))
    assert "\n".join(said) in status
    generation = json.loads(run("status", "--library", str(shades), "--json"))["generations"][0]
    assert generation["nlist"] == 2
    assert generation["recall"] >= 0.95
    curve = generation["curve"]
    assert generation["nprobe"] in [point[0] for point in curve["points"]]
    assert len(curve["cases"]) == 14
    assert curve["cases"][-1][:3] == ["all but the nearest lists", 100, 1.0]


def test_a_chosen_layout_holds_for_later_runs(shades: Path) -> None:
    run("index", str(shades), "--index", "ivf")
    for n in range(3):
        Image.new("RGB", (4, 4), (n, 0, 200)).save(shades / f"new{n}.png")
    run("index", str(shades))
    generation = json.loads(run("status", "--library", str(shades), "--json"))["generations"][0]
    assert (generation["type"], generation["count"]) == ("ivf", 133)
    run("rebuild", "--index", "auto", "--library", str(shades))
    generation = json.loads(run("status", "--library", str(shades), "--json"))["generations"][0]
    assert (generation["type"], generation["curve"]) == ("flat", None)


def test_recall_is_measured_with_the_captions_given(shades: Path) -> None:
    captions = shades / "c.txt"
    captions.write_text("a red thing\nsomething green\n\na blue thing\n")
    said = run("rebuild", "--index", "ivf", "--captions", str(captions), "--library", str(shades))
    assert said.splitlines()[1].endswith("measured with 3 of the captions given")


@pytest.mark.parametrize(
    ("words", "status", "what"),
    [
        (["--target-recall", "1.5"], 2, "1.5 is not in the range 0<x<=1"),
        (["--index", "tree"], 2, "'tree' is not one of 'auto', 'flat', 'ivf'"),
        (["--captions", "nowhere.txt"], 2, "File 'nowhere.txt' does not exist"),
        (["--captions", "0.png"], 1, "0.png is not a file of texts (.csv .jsonl .txt)"),
        (["--captions", "odd.txt"], 1, "odd.txt cannot be used: not UTF-8 at byte 0"),
    ],
)
def test_wrong_usage(
    shades: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], status: int, what: str
) -> None:
    monkeypatch.chdir(shades)
    (shades / "odd.txt").write_bytes(b"\xff")
    result = CliRunner().invoke(main, ["rebuild", *words])
    assert result.exit_code == status
    assert what in result.stderr
    assert "Traceback" not in result.stderr


def test_an_empty_library_says_so(tmp_path: Path) -> None:
    Library.create(tmp_path).close()
    result = CliRunner().invoke(main, ["rebuild", "--library", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (0, "")
    assert "the library is empty" in result.stderr
