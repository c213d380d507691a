"""Write the generated half of docs/cli.md: every command with its ``--help``.

``python -m retrieval.cli.document docs/cli.md``, or ``make docs``, replaces the text below `MARKER`
in that file. The text above it is written by hand and stays.
"""

from collections.abc import Iterator
from pathlib import Path

import click

from retrieval.cli.commands import COMMANDS, main

MARKER = "<!-- `make docs` writes everything below from the --help of the commands. -->\n"
WIDTH = 100
"""Columns of the help texts, whatever the terminal."""


def document(text: str) -> str:
    """`text` with everything after `MARKER` replaced by what the commands say today.

    Raises ValueError if `text` does not have exactly one `MARKER`.
    """
    written, marker, old = text.partition(MARKER)
    if not marker or MARKER in old:
        raise ValueError(f"expected one line {MARKER.strip()}")
    return written + marker + generated()


def generated() -> str:
    """A table of all commands, then a section with the help of each command and subcommand."""
    rows = [
        f"| [`align {name}`](#align-{name}) | {summary} |\n" for name, summary in COMMANDS.items()
    ]
    table = "\n## Commands\n\n| command | what it does |\n|---|---|\n" + "".join(rows)
    top = _context(main, "align", None)
    sections = [
        f"\n### {context.command_path}\n\n```text\n{context.get_help()}\n```\n"
        for name in COMMANDS
        for context in _contexts(main.get_command(top, name), name, top)
    ]
    return table + "".join(sections)


def _contexts(
    command: click.Command | None, name: str, parent: click.Context
) -> Iterator[click.Context]:
    """The command, then its subcommands."""
    assert command is not None  # every name comes from a list of commands
    context = _context(command, name, parent)
    yield context
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            yield from _contexts(command.get_command(context, below), below, context)


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return click.Context(
        command,
        parent,
        name,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        color=False,
        **command.context_settings,
    )


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def write(file: Path) -> None:
    """Bring the generated half of FILE up to date."""
    file.write_text(document(file.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    write()
