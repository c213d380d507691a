"""`align roots`, `align roots move`, `align forget`, and how `align index` treats folders."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from encoder import FakeEncoder
from encoder.fake import COLOURS
from indexer import Library
from indexer.database import checksums
from retrieval.cli import main


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ALIGN_LIBRARY", "ALIGN_MODEL", "ALIGN_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("encoder.load_encoder", lambda *_: FakeEncoder())
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def other(folder: Path, tmp_path: Path) -> Path:
    """A second root in the library of `folder`, with a picture and a link to a picture."""
    other = tmp_path / "other"
    other.mkdir()
    Image.new("RGB", (4, 4), COLOURS["purple"]).save(other / "purple.png")
    Image.new("RGB", (4, 4), COLOURS["white"]).save(tmp_path / "white.png")
    (other / "link.png").symlink_to(tmp_path / "white.png")
    with Library.open(folder) as library:
        library.index([other], FakeEncoder)
    return other


def align(folder: Path, *arguments: object, status: int = 0) -> Result:
    """Run `align` on the library of `folder`."""
    said = [str(a) for a in arguments]
    result = CliRunner().invoke(main, [*said, "--library", str(folder)])
    assert result.exit_code == status, result.output
    return result


def listed(folder: Path) -> list[dict[str, Any]]:
    result = align(folder, "roots", "--json")
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_roots_are_listed(folder: Path, other: Path) -> None:
    align(folder, "index", other, "--follow-symlinks", "--exclude", "raw", "--exclude", "*.gif")
    assert listed(folder) == [
        {
            "path": str(folder),
            "recursive": True,
            "files": 4,
            "state": "ok",
            "follow_symlinks": False,
            "exclude": [],
            "imported": False,
            "away": {},
        },
        {
            "path": str(other),
            "recursive": True,
            "files": 2,
            "state": "ok",
            "follow_symlinks": True,
            "exclude": ["raw", "*.gif"],
            "imported": False,
            "away": {},
        },
    ]
    first, second = align(folder, "roots").stdout.splitlines()
    assert first.split() == [str(folder), "4", "files", "ok"]
    assert second.startswith(f"{other} ")
    assert second.endswith(" 2 files  ok            follows symlinks, excludes raw *.gif")
    align(folder, "index", "--no-follow-symlinks", "--exclude", "")
    assert [(root["follow_symlinks"], root["exclude"]) for root in listed(folder)] == [
        (False, [])
    ] * 2


def test_a_missing_root_is_status_1_after_the_report(folder: Path, other: Path) -> None:
    shutil.move(other, other.with_name("away"))
    Image.new("RGB", (4, 4), COLOURS["yellow"]).save(folder / "yellow.png")
    result = align(folder, "index", status=1)
    assert result.stdout.startswith("1 added, 6 unchanged in ")
    assert result.stderr == (
        f"align: {other} does not exist; mount or restore it, say where it is now with `align roots"
        " move`, or accept the loss with --allow-missing; nothing of it was deleted\n"
    )
    report = json.loads(align(folder, "index", "--json", status=1).stdout)
    assert [sentence.split(";")[0] for sentence in report["unavailable"]] == [
        f"{other} does not exist"
    ]
    assert [root["state"] for root in listed(folder)] == ["ok", "missing"]
    assert align(folder, "index", "--allow-missing").stdout.startswith("1 deleted, 7 unchanged")


def test_a_disk_below_a_root_that_is_away(folder: Path, other: Path, tmp_path: Path) -> None:
    usb = other / "usb"
    usb.mkdir()
    Image.new("RGB", (4, 4), COLOURS["yellow"]).save(usb / "yellow.png")
    align(folder, "index")
    with closing(sqlite3.connect(folder / ".align/library.db")) as db, db:
        checksums.maintain(db)
        db.execute("UPDATE roots SET mounts = '[[\"usb\", 1]]' WHERE id = 2")
    shutil.move(usb, tmp_path / "away")
    result = align(folder, "index", status=1)
    assert result.stderr.splitlines(True)[-1] == (
        f"align: {usb} does not exist; mount or restore it, or accept the loss with"
        " --allow-missing; nothing of it was deleted\n"
    )
    assert [root["away"] for root in listed(folder)] == [{}, {str(usb): "missing"}]
    assert json.loads(align(folder, "status", "--json").stdout)["roots"] == listed(folder)
    second = align(folder, "roots").stdout.splitlines()[1]
    assert second.endswith(f" 2 files  ok            {usb}: missing")
    assert align(folder, "index", "--allow-missing").stdout.startswith("1 deleted, ")
    assert listed(folder)[1]["away"] == {}


def test_a_root_is_moved(folder: Path, other: Path) -> None:
    new = other.rename(other.with_name("new"))
    result = align(folder, "roots", "move", other, new)
    assert (result.stdout, result.stderr) == ("", f"{other} is now {new}\n")
    assert [root["path"] for root in listed(folder)] == [str(folder), str(new)]
    assert align(folder, "index").stdout.startswith("7 unchanged")
    # The library may be named before the subcommand as well.
    back = ["roots", "--library", str(folder), "move", str(new), str(new)]
    assert CliRunner().invoke(main, back).exit_code == 0


def test_moves_that_are_refused(folder: Path, other: Path) -> None:
    result = align(folder, "roots", "move", folder / "nowhere", other, status=1)
    assert result.stderr == (
        f"align: {folder / 'nowhere'} is not a watched folder; name one of these: {folder},"
        f" {other}\n"
    )
    assert "does not exist" in align(folder, "roots", "move", other, "none", status=2).stderr


def test_forgetting_files_and_roots(folder: Path, other: Path) -> None:
    red = folder / "red.png"
    result = align(folder, "forget", red)
    assert result.stdout == "1 item forgotten\n"
    assert result.stderr == f"{red} is left out from now on; `align index {red}` brings it back\n"
    assert align(folder, "index").stdout.startswith("6 unchanged")
    assert align(folder, "index", red).stdout.startswith("1 added")

    result = align(folder, "forget", other, folder / "captions.txt", "--json")
    assert json.loads(result.stdout) == {
        "items": 4,
        "roots": [str(other)],
        "excluded": [],
        "unknown": [],
    }
    assert result.stderr == f"{other} is no longer watched\n"
    assert [root["path"] for root in listed(folder)] == [str(folder)]


def test_an_unknown_path_is_one_line(folder: Path) -> None:
    result = align(folder, "forget", folder / "rde.png", status=1)
    assert result.stdout == "0 items forgotten\n"
    assert result.stderr == (
        f"align: the library knows nothing at {folder / 'rde.png'}; check the spelling\n"
    )
    assert listed(folder)[0]["exclude"] == []
    assert "Missing argument 'PATH...'" in align(folder, "forget", status=2).stderr
