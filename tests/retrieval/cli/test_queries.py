"""Combined queries, groups and duplicates on the command line, with one-colour pictures."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from encoder import FakeEncoder
from encoder.fake import COLOURS
from indexer import Library
from retrieval.cli import main


@pytest.fixture
def colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An indexed picture of every colour; the current folder is that of the library."""
    for name in ("ALIGN_LIBRARY", "ALIGN_MODEL", "ALIGN_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("encoder.load_encoder", lambda name, device: FakeEncoder())
    folder = tmp_path / "colours"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name, colour in COLOURS.items():
        Image.new("RGB", (8, 8), colour).save(f"{name}.png")
    index(folder)
    return folder


def index(folder: Path) -> None:
    with Library.create(folder) as library:
        library.index([folder], FakeEncoder)


def align(*arguments: object, status: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == status, result.output
    return result


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def first(*arguments: object) -> str:
    return Path(objects(align(*arguments, "--json", "-k", 1))[0]["path"]).stem


def test_queries_combine(colours: Path) -> None:
    assert first("search", "red", "--plus", "blue") == "purple"
    assert first("search", "--plus", "red", "--plus", "0.05:blue") == "red"
    assert first("search", "--plus", "red", "--plus", "20:blue") == "blue"
    assert first("search", "purple", "--minus", "red") == "blue"
    assert first("search", "--image", "green.png", "--plus", "blue") == "turquoise"
    assert first("search", "--image", "red.png", "--image", "1:blue.png") == "purple"
    assert first("similar", "purple.png", "--minus", "red") == "blue"
    assert first("similar", "red.png", "--plus", "blue") == "purple"
    # TEXT takes no weight, and 2:blue is not a colour word
    assert first("search", "2:blue red") == "red"


def test_the_query_picture_is_left_out(colours: Path) -> None:
    shown = align("search", "--image", colours / "red.png", "-k", 20).stdout
    assert len(shown.splitlines()) == len(COLOURS) - 1
    assert "red.png" not in shown


def test_a_path_that_begins_with_a_number(colours: Path) -> None:
    shutil.copy("red.png", "2:a.png")
    assert first("search", "--image", "1:2:a.png") == "red"
    assert first("search", "--image", "./2:a.png") == "red"
    line = align("search", "--image", "2:a.png", status=1).stderr
    assert line == "align: a.png cannot be opened: No such file or directory\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["search"], "Missing argument 'TEXT', or --plus, --image or a filter: say what"),
        (["search", "--minus", "red"], "align: the query is empty: give a text or a picture"),
        (["search", "", "--plus", "red"], "is empty: say what to look for"),
        (["search", "--plus", "0:red"], "Invalid value for '--plus': the weight 0 must be"),
        (["search", "--minus", "2:"], "Invalid value for '--minus': '2:' is empty"),
        (["search", "--image", ""], "Invalid value for '--image': '' is empty"),
        (["search", "red", "--minus", "red"], "align: the terms of the query cancel each other"),
        (["similar", "red.png", "--minus", "red"], "align: the terms of the query cancel each"),
        (["search", "red", "--group", "--threshold", "0"], "0.0 is not in the range 0<x<=1"),
        (["search", "red", "--threshold", "0.9"], "--threshold is for --group: give --group, too."),
        (["search", "a", "-k", "2", "red", "dog"], 'the text: align search "a red dog".'),
        (["search", "red", "--under", "nowhere"], "is neither on disk nor in the library"),
        (["duplicates", "--threshold", "1.5"], "1.5 is not in the range 0<x<=1"),
        (["duplicates", "--threshold", "nan"], "is not in the range 0<x<=1"),
    ],
)
def test_wrong_usage_is_status_2(colours: Path, arguments: list[str], complaint: str) -> None:
    result = align(*arguments, status=2)
    assert complaint in result.stderr
    assert result.stdout == ""


def test_groups_say_how_many_they_are(colours: Path) -> None:
    shutil.copy("red.png", "red again.png")
    Image.new("RGB", (4, 4), (250, 0, 0)).save("third.png")
    index(colours)
    table = align("search", "red", "--group", "-k", 2).stdout.splitlines()
    assert [line.split("  ")[-1] for line in table] == ["(+2 similar)", table[1].split("  ")[-1]]
    assert "similar" not in table[1]
    hits = objects(align("search", "red", "--group", "--json"))
    assert [hit["similar"] for hit in hits] == [2, 0, 0, 0, 0, 0, 0, 0]
    (hit,) = objects(align("search", "red", "--group", "--threshold", "1", "--json", "-k", 1))
    assert hit["similar"] == 1
    assert all("similar" not in hit for hit in objects(align("search", "red", "--json")))
    hits = objects(align("similar", "third.png", "--group", "--json", "-k", 1))
    assert [hit["similar"] for hit in hits] == [1]


def test_duplicates_are_listed_group_by_group(
    tmp_path: Path, paint: Callable[..., Path], colours: Path
) -> None:
    large = paint("large.png", "red", size=(9, 9))
    small = paint("small.png", (252, 0, 0), size=(4, 4))
    paint("blue.png", "blue")
    one, other = paint("b/green.png", "green"), paint("a/green.png", "green")
    index(tmp_path / "album")
    result = align("duplicates", "--library", tmp_path / "album")
    n, m, k = (path.stat().st_size for path in (one, large, small))
    first = (
        f"2 copies\n          8 x 8  {n:>3} bytes  {other}\n          8 x 8  {n:>3} bytes  {one}\n"
    )
    second = f"          9 x 9  {m:>3} bytes  {large}\n          4 x 4  {k:>3} bytes  {small}\n"
    assert result.stdout == f"{first}\n2 near-duplicates\n{second}"
    assert result.stderr == (
        f"1 group of copies, 1 group of near-duplicates; all but the best take {n + k} bytes\n"
    )
    exact = align("duplicates", "--library", tmp_path / "album", "--exact")
    assert exact.stdout == first
    assert exact.stderr == f"1 group of copies; all but the best take {n} bytes\n"
    paths = align("duplicates", "--library", tmp_path / "album", "--paths").stdout
    assert paths == f"{one}\n{small}\n"
    result = align("duplicates", "--library", tmp_path / "album", "--json")
    assert result.stderr == ""
    copies, near = objects(result)
    assert (copies["kind"], near["kind"]) == ("copy", "near")
    assert (copies["wasted"], near["wasted"]) == (n, k)
    assert [item["path"] for item in copies["items"]] == [str(other), str(one)]
    with Library.open(tmp_path / "album") as library:
        ids = [library.find(path)[0].id for path in (large, small)]
    rest = {"format": "PNG", "taken_at": None}
    assert near["items"] == [
        {"id": ids[0], "path": str(large), "width": 9, "height": 9, "bytes": m, **rest},
        {"id": ids[1], "path": str(small), "width": 4, "height": 4, "bytes": k, **rest},
    ]
    alike = align("duplicates", "--library", tmp_path / "album", "--threshold", "0.5")
    assert alike.stderr.startswith("1 group of copies, 1 group of near-duplicates; ")
    assert len(alike.stdout.split("\n\n")[1].splitlines()) == 5


def test_a_library_without_duplicates(colours: Path) -> None:
    result = align("duplicates")
    assert result.stdout == ""
    assert result.stderr == "0 groups of copies, 0 groups of near-duplicates\n"


def test_duplicates_load_no_model(colours: Path) -> None:
    code = """
import sys
from retrieval.cli import main
try:
    main(["duplicates"])
except SystemExit as end:
    assert not end.code, end.code
print(*sorted({"torch", "tokenizers", "faiss", "alembic"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    said = "0 groups of copies, 0 groups of near-duplicates\n"
    assert (done.stderr, done.stdout) == (said, "\n")
