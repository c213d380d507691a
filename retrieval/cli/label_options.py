"""Options of the commands that label pictures."""

import re
from functools import wraps
from pathlib import Path
from typing import Any, cast

import click

from retrieval.cli.options import Command
from retrieval.defaults import TEMPLATE

_CUTOFF = re.compile(r"(.*\S.*):([+-]?(?:0?\.\d+|[01](?:\.0*)?))", re.DOTALL).fullmatch
"""A label with the cosine that it needs, in [-1, 1]."""


def _split(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str]:
    return [label.strip() for label in value.split(",") if label.strip()] if value else []


def label_options(command: Command) -> Command:
    """``--labels``, ``--labels-file``, ``--template``, ``--templates-file`` and ``--none``, passed
    on as `labels`, `cutoffs`, `templates` and `none`. A command with ``--clear`` goes without
    labels then."""

    @wraps(command)
    def labelled(
        labels: list[str],
        labels_file: Path | None,
        templates: tuple[str, ...],
        templates_file: Path | None,
        **values: Any,
    ) -> Any:
        from indexer import read_text_file

        given = labels + (read_text_file(labels_file) if labels_file else [])
        if not given and not values.get("clear"):
            raise click.UsageError("Missing option '--labels' or '--labels-file'.")
        filled = [*templates, *(read_text_file(templates_file) if templates_file else [])]
        cutoffs = {found[1].strip(): float(found[2]) for one in given if (found := _CUTOFF(one))}
        return command(
            labels=list(dict.fromkeys(one for one in given if not _CUTOFF(one))),
            cutoffs=cutoffs,
            templates=filled or [TEMPLATE],
            **values,
        )

    file = click.Path(path_type=Path, exists=True, dir_okay=False)
    wrapped: Any = labelled
    for option in (
        click.option(
            "--none",
            is_flag=True,
            help='Let "none of these" compete, too; a single label always competes with it.',
        ),
        click.option("--templates-file", type=file, help="File of templates (.txt), one per line."),
        click.option(
            "--template",
            "templates",
            multiple=True,
            metavar="TEXT",
            help="Text around a label, which takes the place of {}. Repeatable: the mean counts."
            f"  [default: {TEMPLATE}]",
        ),
        click.option("--labels-file", type=file, help="File of labels (.txt), one per line."),
        click.option(
            "--labels",
            metavar="A,B,...",
            callback=_split,
            help="Labels, separated by commas. One"
            " with a number, such as beach:0.22, is judged alone: its cosine must be that large.",
        ),
    ):
        wrapped = option(wrapped)
    return cast(Command, wrapped)
