"""Options that several commands share."""

import math
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from retrieval.errors import QueryError
from retrieval.settings import (
    DEFAULT_K,
    DEVICE_VARIABLE,
    LIBRARY_VARIABLE,
    MODEL_VARIABLE,
    NEAR_DUPLICATE,
    TEMPLATE,
)

MAX_WAIT = 366 * 24 * 3600
"""Seconds; a year is for ever."""

Command = TypeVar("Command", bound=Callable[..., Any])


class NumberRange(click.FloatRange):
    """A number in a range, which nan is not in."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not in the range {self._describe_range()}.", param, ctx)
        return number


def library_option(command: Command) -> Command:
    """``--library``, else ALIGN_LIBRARY; None means: look from the current folder upwards."""
    return click.option(
        "--library",
        type=click.Path(path_type=Path),
        envvar=LIBRARY_VARIABLE,
        show_envvar=True,
        help="Folder of the library; by default found from the current folder upwards.",
    )(command)


def model_option(command: Command) -> Command:
    """``--model``, else ALIGN_MODEL; None means: the library's own."""
    return click.option(
        "--model",
        envvar=MODEL_VARIABLE,
        show_envvar=True,
        help="Checkpoint: a folder, a hub id or align-mini; by default the library's own, for a"
        " new one kakaobrain/align-base.",
    )(command)


def layout_option(command: Command) -> Command:
    """``--index``; None means: as the library has it."""
    return click.option(
        "--index",
        "layout",
        type=click.Choice(["auto", "flat", "ivf"]),
        help="Layout of the index, kept for later ones: flat is exact, ivf (of 64 items or"
        " more) faster for millions, auto (at first) flat up to 200,000 items.",
    )(command)


def device_option(command: Command) -> Command:
    """``--device``, else ALIGN_DEVICE, else auto."""
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        envvar=DEVICE_VARIABLE,
        show_envvar=True,
        help="auto, cpu or cuda.",
    )(command)


def wait_option(command: Command) -> Command:
    """``--wait``, for every command that writes."""
    return click.option(
        "--wait",
        type=NumberRange(min=0, max=MAX_WAIT),
        default=0,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait for another process that is writing to the library.",
    )(command)


def k_option(command: Command) -> Command:
    """``-k``, at least 1."""
    return click.option(
        "-k",
        type=click.IntRange(min=1),
        default=DEFAULT_K,
        show_default=True,
        help="Number of hits.",
    )(command)


_FILTERS = {
    "after": click.option(
        "--after",
        metavar="DATE",
        help="Taken then or later: 2024, 2024-05, 2024-05-01 or 2024-05-01T12:30.",
    ),
    "before": click.option("--before", metavar="DATE", help="Taken earlier than that."),
    "under": click.option(
        "--under", metavar="PATH", help="In this folder, at any depth, or this very file."
    ),
    "glob": click.option(
        "--glob",
        metavar="PATTERN",
        help="The path, or the end of it from a folder on, like 'trip/*.jpg'; * spans folders.",
    ),
    "camera": click.option("--camera", metavar="TEXT", help="A part of the camera's name."),
    "near": click.option(
        "--near", metavar="LAT,LON,KM", help="Taken at most KM kilometres from that place."
    ),
    "min_width": click.option("--min-width", metavar="PIXELS", help="At least that wide."),
    "min_height": click.option("--min-height", metavar="PIXELS", help="At least that high."),
    "formats": click.option(
        "--format",
        "formats",
        metavar="NAME",
        multiple=True,
        help="jpeg, png, heic and so on; several mean any of them.",
    ),
    "fields": click.option(
        "--field",
        "fields",
        metavar="TEST",
        multiple=True,
        help="Like 'aesthetic>=5' or 'place=Oslo'; several mean all of them.",
    ),
}
"""By the name of the argument that `Filters.parse` takes."""


def filter_options(command: Command) -> Command:
    """``--after`` to ``--field``, handed on as `filters`; a FilterError is wrong usage."""

    @wraps(command)
    def filtered(**values: Any) -> Any:
        from indexer import FilterError, Filters

        asked = {name: values.pop(name) for name in _FILTERS}
        try:
            return command(filters=Filters.parse(**asked), **values)
        except FilterError as error:
            raise click.UsageError(str(error), click.get_current_context()) from error

    wrapped: Any = filtered
    for option in reversed(_FILTERS.values()):
        wrapped = option(wrapped)
    return cast(Command, wrapped)


def sort_option(command: Command) -> Command:
    """``--sort``."""
    return click.option(
        "--sort",
        type=click.Choice(["score", "date"]),
        default="score",
        show_default=True,
        help="Order of the hits, best or newest first; the hits are the same.",
    )(command)


def _parse_terms(ctx: click.Context, param: click.Parameter, terms: tuple[str, ...]) -> Any:
    from retrieval.query import parse_weighted

    try:
        return tuple(parse_weighted(term) for term in terms)
    except QueryError as error:
        raise click.BadParameter(str(error), ctx, param) from None


def plus_and_minus_options(command: Command) -> Command:
    """``--plus`` and ``--minus``, tuples of weighted texts."""
    for name, meaning in (("--minus", "away from"), ("--plus", "for")):
        command = click.option(
            name,
            metavar="TEXT",
            multiple=True,
            callback=_parse_terms,
            help=f"Search {meaning} this as well; 2:sunset counts twice. Repeatable.",
        )(command)
    return command


def image_option(command: Command) -> Command:
    """``--image`` into `images`, a tuple of weighted paths."""
    return click.option(
        "--image",
        "images",
        metavar="FILE",
        multiple=True,
        callback=_parse_terms,
        help="Search for what looks like this picture as well; 0.5:a.jpg counts half. Repeatable.",
    )(command)


def group_option(command: Command) -> Command:
    """``--group``."""
    return click.option(
        "--group",
        is_flag=True,
        help="Show of near-duplicates the best alone, and say how many others there are.",
    )(command)


def threshold_option(command: Command) -> Command:
    """``--threshold``, in (0, 1]."""
    return click.option(
        "--threshold",
        type=NumberRange(0, 1, min_open=True),
        default=NEAR_DUPLICATE,
        show_default=True,
        help="Cosine from which on pictures are near-duplicates.",
    )(command)


def json_option(command: Command) -> Command:
    """``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object a line instead of a table."
    )(command)


def search_options(command: Command) -> Command:
    """All that the commands that search for pictures have in common."""
    for option in (
        device_option,
        model_option,
        library_option,
        json_option,
        sort_option,
        filter_options,
        k_option,
        threshold_option,
        group_option,
        plus_and_minus_options,
    ):
        command = option(command)
    return command


def _split(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str]:
    return [label.strip() for label in value.split(",") if label.strip()] if value else []


def label_options(command: Command) -> Command:
    """``--labels``, ``--labels-file``, ``--template`` and ``--templates-file``, handed on as
    `labels` and `templates`."""

    @wraps(command)
    def labelled(
        labels: list[str],
        labels_file: Path | None,
        templates: tuple[str, ...],
        templates_file: Path | None,
        **values: Any,
    ) -> Any:
        from indexer import read_text_file

        labels = labels + (read_text_file(labels_file) if labels_file else [])
        if not labels:
            raise click.UsageError("Missing option '--labels' or '--labels-file'.")
        filled = [*templates, *(read_text_file(templates_file) if templates_file else [])]
        return command(labels=list(dict.fromkeys(labels)), templates=filled or [TEMPLATE], **values)

    file = click.Path(path_type=Path, exists=True, dir_okay=False)
    wrapped: Any = labelled
    for option in (
        click.option("--templates-file", type=file, help="Templates, one a line of a .txt file."),
        click.option(
            "--template",
            "templates",
            multiple=True,
            metavar="TEXT",
            help="What a label, in place of {}, is put into; repeatable, then the mean counts."
            f"  [default: {TEMPLATE}]",
        ),
        click.option("--labels-file", type=file, help="Labels, one a line of a .txt file."),
        click.option(
            "--labels", metavar="A,B,...", callback=_split, help="Labels, separated by commas."
        ),
    ):
        wrapped = option(wrapped)
    return cast(Command, wrapped)
