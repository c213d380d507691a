"""What the documents name exists, and what the repository has is named."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("encoder", "indexer", "retrieval")
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
PATH = re.compile(r"(?<![\w/.])(?:encoder|indexer|retrieval|tests)/[\w/]*(?:\.\w+)?")
NAMED = re.compile(r"^\d+\. `(\S+\.py)` ((?:`\w+`(?:, )?)+)", re.MULTILINE)


def test_the_paths_in_the_architecture_exist() -> None:
    found = set(PATH.findall(ARCHITECTURE))
    assert {"indexer/library.py", "retrieval/cli/", "encoder/"} <= found
    assert [path for path in sorted(found) if not (ROOT / path).exists()] == []


def test_every_room_is_in_the_architecture() -> None:
    rooms = {
        f"{init.parent.relative_to(ROOT)}/"
        for package in PACKAGES
        for init in (ROOT / package).rglob("__init__.py")
        if "__pycache__" not in init.parts
    }
    assert {"indexer/ann/", "encoder/scenes/drawings/"} <= rooms
    assert sorted(rooms - set(PATH.findall(ARCHITECTURE))) == []


def test_the_steps_in_the_architecture_name_what_their_files_define() -> None:
    steps = [
        (path, name)
        for path, names in NAMED.findall(ARCHITECTURE)
        for name in re.findall(r"\w+", names)
    ]
    assert len(steps) > 15
    for path, name in steps:
        defined = re.findall(r"^ *(?:def|class) (\w+)", (ROOT / path).read_text(), re.MULTILINE)
        assert name in defined, f"{path} does not define {name}"


def test_the_floors_in_the_architecture_are_those_of_the_contract() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = (
        contract
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract.get("containers") == ["indexer"]
    )
    section = ARCHITECTURE.split("## Floors of the indexer")[1].split("\n## ")[0]
    assert re.findall(r"^    (.+)$", section, re.MULTILINE) == contract["layers"]


def test_the_newest_heading_of_the_changelog_is_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == version


def targets() -> list[str]:
    """What `make` can be told to do, in the order of the Makefile."""
    return re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_make_help_names_every_target() -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = re.findall(r"^make ([\w-]+) +\S.*$", done.stdout, re.MULTILINE)
    assert said == targets()
    assert len(done.stdout.splitlines()) == len(said)


@pytest.mark.parametrize(
    "document",
    [str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))],
)
def test_the_make_targets_in_documents_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    named = re.findall(r"(?:`|^    )make ([\w-]+)", text, re.MULTILINE)
    assert set(named) <= set(targets())
    if document == "README.md":
        assert {"demo", "test", "check"} <= set(named)


def test_the_log_is_dated_and_its_newest_entry_comes_first() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "docs/LOG.md").read_text(), re.MULTILINE)
    matched = [re.fullmatch(r"(\d{4}-\d\d-\d\d) · [^|]+", heading) for heading in headings]
    dates = [found[1] if found else "" for found in matched]
    assert "" not in dates
    assert dates == sorted(dates, reverse=True)


def test_every_entry_of_the_log_has_an_idea_a_figure_and_a_verdict() -> None:
    _, *entries = (ROOT / "docs/LOG.md").read_text().split("\n## ")
    for entry in entries:
        parts = re.findall(r"^\*\*(\w+)\.\*\* \S", entry, re.MULTILINE)
        assert parts == ["Idea", "Figure", "Verdict"], entry.splitlines()[0]
