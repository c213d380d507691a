"""Options that several commands share."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from retrieval.errors import QueryError
from retrieval.settings import (
    DEFAULT_K,
    DEVICE_VARIABLE,
    LIBRARY_VARIABLE,
    MODEL_VARIABLE,
    NEAR_DUPLICATE,
)

Command = TypeVar("Command", bound=Callable[..., Any])


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


def k_option(command: Command) -> Command:
    """``-k``, at least 1."""
    return click.option(
        "-k",
        type=click.IntRange(min=1),
        default=DEFAULT_K,
        show_default=True,
        help="Number of hits.",
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


def _check_threshold(ctx: click.Context, param: click.Parameter, value: float) -> float:
    if math.isnan(value):
        raise click.BadParameter("nan is not in the range 0<x<=1.", ctx, param)
    return value


def threshold_option(command: Command) -> Command:
    """``--threshold``, in (0, 1]."""
    return click.option(
        "--threshold",
        type=click.FloatRange(0, 1, min_open=True),
        default=NEAR_DUPLICATE,
        show_default=True,
        callback=_check_threshold,
        help="Cosine from which on pictures are near-duplicates.",
    )(command)


def json_option(command: Command) -> Command:
    """``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object a line instead of a table."
    )(command)
