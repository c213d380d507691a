"""A library of another user is not used unless it is named or trusted, and neither is its model."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from encoder import Encoder, FakeEncoder
from indexer import Library, UntrustedLibrary
from retrieval import open_library
from retrieval.cli import main
from retrieval.trust import is_own, is_trusted, trust, trusted

STRANGER = 4242


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and one encoder under every name."""
    monkeypatch.setattr("encoder.load_encoder", lambda name, device: FakeEncoder(name))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.delenv("ALIGN_LIBRARY", raising=False)
    return tmp_path / "home"


@pytest.fixture
def as_stranger(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """From now on every file belongs to somebody else; the current folder is inside the library."""
    inside = folder / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    return folder


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


COMMANDS = [
    ["search", "red"],
    ["similar", "../red.png"],
    ["captions", "../red.png"],
    ["status"],
    ["failures"],
    ["roots"],
    ["verify"],
    ["duplicates"],
    ["index"],
    ["index", "."],
    ["rebuild"],
    ["compact"],
    ["backup", "b.db"],
    ["forget", "../red.png"],
    ["repair"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_strangers_library_is_not_found_by_itself(as_stranger: Path, words: list[str]) -> None:
    before = (as_stranger / ".align" / "library.db").read_bytes()
    result = run(*words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"align: the library in {as_stranger} belongs to another user, so it is not used without"
        f" being asked for: name it with --library {as_stranger}, or trust it for good with `align"
        f" trust {as_stranger}`\n"
    )
    assert (as_stranger / ".align" / "library.db").read_bytes() == before


@pytest.mark.parametrize("named", ["option", "variable", "trust"])
def test_it_is_used_once_it_is_named(
    as_stranger: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    words = ["status", "--json"]
    if named == "option":
        words += ["--library", str(as_stranger)]
    elif named == "variable":
        monkeypatch.setenv("ALIGN_LIBRARY", str(as_stranger))
    else:
        assert run("trust", str(as_stranger)).exit_code == 0
    result = run(*words)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["counts"] == {"image": 3, "text": 3}


def test_trust_is_remembered_listed_and_taken_back(as_stranger: Path, home: Path) -> None:
    assert run("trust").stdout == ""
    run("trust", str(as_stranger))
    run("trust", "..")
    assert run("trust").stdout == f"{as_stranger}\n"
    assert trusted() == [as_stranger / ".align"]
    assert (home / ".config/align-retrieval/trusted").is_file()
    assert run("search", "red").exit_code == 0
    assert run("trust", "--remove", str(as_stranger)).exit_code == 0
    assert run("trust").stdout == ""
    assert run("search", "red").exit_code == 1
    assert "was not" in run("trust", "--remove", str(as_stranger)).stderr


def test_wrong_usage_of_trust(as_stranger: Path) -> None:
    result = run("trust", "/nowhere")
    assert result.exit_code == 1
    assert result.stderr.startswith("align: there is no library at /nowhere")
    assert trusted() == []
    assert run("trust", "--remove").exit_code == 2


def test_names_of_folders_may_be_any_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    Library.create(folder).close()
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    assert not is_trusted(folder / ".align")
    trust(folder / ".align")
    assert is_trusted(folder / ".align")


def test_a_relative_xdg_folder_is_ignored(
    as_stranger: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "here")
    trust(as_stranger / ".align")
    assert (home / ".config/align-retrieval/trusted").is_file()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "xdg"))
    assert trusted() == []


def test_under_sudo_the_library_of_the_caller_is_ones_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = os.stat(folder / ".align").st_uid
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert is_own(folder / ".align") == (owner == 0)
    monkeypatch.setenv("SUDO_UID", str(owner))
    assert is_own(folder / ".align")
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    assert not is_own(folder / ".align")  # anybody can set the variable
    monkeypatch.setenv("SUDO_UID", "no number")
    monkeypatch.setattr(os, "geteuid", lambda: owner)
    assert is_own(folder / ".align")


def test_the_database_counts_as_well_as_the_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.stat

    def stat(path: Path, **given: bool) -> os.stat_result:
        found = real(path, **given)
        if path.name != "library.db":
            return found
        values = list(found)
        values[4] = STRANGER
        return os.stat_result(values)

    assert is_own(folder / ".align")
    monkeypatch.setattr(Path, "stat", stat)
    assert not is_own(folder / ".align")


def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the models that are loaded from now on."""
    names: list[str] = []

    def load(name: str, device: str) -> Encoder:
        names.append(name)
        return FakeEncoder(name)

    monkeypatch.setattr("encoder.load_encoder", load)
    return names


def test_the_model_that_a_stranger_wrote_down_is_not_loaded(
    as_stranger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = loaded(monkeypatch)
    with open_library(as_stranger) as engine, pytest.raises(UntrustedLibrary) as caught:
        engine.search("red")
    assert "says that its model is fake: name the model with --model" in str(caught.value)
    for words in (["search", "red"], ["index", "--reembed"], ["similar", "../red.png"]):
        result = run(*words, "--library", str(as_stranger))
        assert result.exit_code == 1
        assert "belongs to another user and says that its model is fake" in result.stderr
    assert names == []
    assert run("search", "red", "--library", str(as_stranger), "--model", "mine").exit_code == 0
    assert names == ["mine"]
    trust(as_stranger / ".align")
    with open_library(as_stranger) as engine:
        assert Path(engine.search("red", k=1)[0].path).name == "red.png"
    assert names == ["mine", "fake"]


def test_the_bundled_model_is_loaded_for_strangers_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "t.txt").write_text("a red thing\n")
    with Library.create(folder) as library:
        library.index([folder / "t.txt"], lambda: FakeEncoder("align-mini"))
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
    names = loaded(monkeypatch)
    with open_library(folder) as engine:
        engine.encoder  # noqa: B018 - the access loads the model
    assert names == ["align-mini"]
