"""docs/cli.md says what the commands say, and the commands in the documents exist."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from retrieval.cli import document as document_module
from retrieval.cli import main, search, verify
from retrieval.cli.commands import COMMANDS, INTERRUPTED, WRONG_USAGE
from retrieval.cli.document import MARKER, WIDTH, document, write

ROOT = Path(__file__).parent.parent
CLI = ROOT / "docs/cli.md"
TEXT = CLI.read_text("utf-8")
BY_HAND, GENERATED = TEXT.split(MARKER)
TOP = click.Context(main)


def test_the_document_is_up_to_date() -> None:
    assert document(TEXT) == TEXT, "run `make docs`"


def test_every_command_is_in_the_table_and_has_a_section() -> None:
    assert re.findall(r"^\| \[`align (\w+)`\]\(#align-\1\)", GENERATED, re.MULTILINE) == list(
        COMMANDS
    )
    sections = re.findall(r"^### align (.+)$", GENERATED, re.MULTILINE)
    assert [name for name in sections if " " not in name] == list(COMMANDS)
    assert [name for name in sections if " " in name] == ["roots move", "model check"]


@pytest.mark.parametrize("name", [*COMMANDS, "roots move", "model check"])
def test_a_section_is_what_the_command_prints(name: str) -> None:
    printed = CliRunner().invoke(
        main,
        [*name.split(), "--help"],
        prog_name="align",
        max_content_width=WIDTH,
        terminal_width=WIDTH,
    )
    assert printed.exit_code == 0
    assert f"\n### align {name}\n\n```text\n{printed.output}```\n" in GENERATED


def test_another_help_text_needs_another_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search.command, "help", "Find nothing.")
    assert document(TEXT) != TEXT
    assert "Find nothing." in document(TEXT)


def test_another_command_needs_another_document(monkeypatch: pytest.MonkeyPatch) -> None:
    fewer = {name: summary for name, summary in COMMANDS.items() if name != "demo"}
    monkeypatch.setattr(document_module, "COMMANDS", fewer)
    assert "align demo" in GENERATED
    assert "align demo" not in document(TEXT).split(MARKER)[1]


def test_terminal_and_environment_change_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for name in ("HOME", "XDG_CACHE_HOME", "ALIGN_LIBRARY"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("ALIGN_MODEL", "another-model")
    monkeypatch.setenv("ALIGN_DEVICE", "cuda")
    assert document(TEXT) == TEXT


def test_the_text_above_the_marker_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "cli.md"
    file.write_text(f"# By hand: naïve\n\n{MARKER}old\n", "utf-8")
    assert CliRunner().invoke(write, [str(file)]).exit_code == 0
    assert file.read_text("utf-8") == f"# By hand: naïve\n\n{MARKER}{GENERATED}"


@pytest.mark.parametrize("text", ["# No marker\n", MARKER + MARKER])
def test_a_document_without_one_marker_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected one line <!-- `make docs`"):
        document(text)


def test_the_exit_statuses() -> None:
    statuses = re.findall(r"^\| (\d+) \| (.+) \|$", BY_HAND, re.MULTILINE)
    said = {int(status): meaning for status, meaning in statuses}
    assert list(said) == [0, 1, WRONG_USAGE, verify.REPAIRABLE, verify.DAMAGED, INTERRUPTED]
    assert "can repair all" in said[verify.REPAIRABLE]
    assert "cannot repair" in said[verify.DAMAGED]


def commands_in(text: str) -> list[list[str]]:
    """The words of every ``align`` command in a code block or in backticks."""
    joined = text.replace("\\\n", " ")
    blocks = re.findall(r"^(?:    |\$ )(align .+)$", joined, re.MULTILINE)
    inline = re.findall(r"`(align [^`]+)`", joined)
    return [shlex.split(command, comments=True) for command in (*blocks, *inline)]


@pytest.mark.parametrize(
    ("name", "least"),
    [("README.md", 10), ("docs/cli.md", 20), ("docs/evaluation.md", 3), ("docs/training.md", 3)],
)
def test_the_commands_and_options_in_the_documents_exist(name: str, least: int) -> None:
    found = commands_in((ROOT / name).read_text("utf-8"))
    assert len(found) >= least
    for _, *words in found:
        command: click.Command = main
        while isinstance(command, click.Group) and words and words[0] in command.list_commands(TOP):
            below = command.get_command(TOP, words.pop(0))
            assert isinstance(below, click.Command)
            command = below
        assert command is not main, f"no such command: align {' '.join(words)}"
        known = {
            option for param in command.params for option in (*param.opts, *param.secondary_opts)
        }
        used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert used - {"--help"} <= known, f"{name}: align {command.name} {' '.join(words)}"


def test_the_files_linked_exist() -> None:
    linked = re.findall(r"\]\(((?!http)[^)#]+)\)", BY_HAND)
    assert [target for target in linked if not (CLI.parent / target).exists()] == []
