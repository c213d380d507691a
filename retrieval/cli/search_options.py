"""Options of the commands that search for pictures."""

from functools import wraps
from typing import Any, cast

import click
from click.core import ParameterSource

from retrieval.cli.hits import hit_options
from retrieval.cli.options import (
    Command,
    NumberRange,
    device_option,
    k_option,
    library_option,
    model_option,
    threshold_option,
)
from retrieval.errors import QueryError

_FILTERS = {
    "after": click.option(
        "--after",
        metavar="DATE",
        help="Taken at this time or later: 2024, 2024-05, 2024-05-01 or 2024-05-01T12:30.",
    ),
    "before": click.option("--before", metavar="DATE", help="Taken before this time."),
    "under": click.option(
        "--under", metavar="PATH", help="In this folder, at any depth, or this file itself."
    ),
    "glob": click.option(
        "--glob",
        metavar="PATTERN",
        help="Path, or its last parts, such as 'trip/*.jpg'; * also matches \"/\".",
    ),
    "camera": click.option("--camera", metavar="TEXT", help="Part of the camera's name."),
    "near": click.option(
        "--near", metavar="LAT,LON,KM", help="Taken at most KM kilometres from this place."
    ),
    "min_width": click.option("--min-width", metavar="PIXELS", help="At least this wide."),
    "min_height": click.option("--min-height", metavar="PIXELS", help="At least this high."),
    "formats": click.option(
        "--format",
        "formats",
        metavar="NAME",
        multiple=True,
        help="jpeg, png, heic and so on. Repeatable: any of them passes.",
    ),
    "fields": click.option(
        "--field",
        "fields",
        metavar="TEST",
        multiple=True,
        help="Such as 'aesthetic>=5', 'place=Oslo', 'title~boat' (holds it) or 'when<2024-05'."
        " Repeatable: all must hold.",
    ),
}
"""By the name of the argument that `Filters.parse` takes."""


def filter_options(command: Command) -> Command:
    """``--after`` to ``--field``, passed on as `filters`; a FilterError is wrong usage."""

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


def min_score_option(command: Command) -> Command:
    """``--min-score``; None means any."""
    return click.option(
        "--min-score",
        type=NumberRange(-1, 1),
        help="Leave out hits with a lower score. What a score means depends on the model. One"
        " limit for all short questions is rough: the best is 0.31 for align-small (F1 0.50 on"
        " photographs) and 0.18 for align-mini (0.47 on drawn scenes). For align-base none was"
        " measured: look at the scores of some questions.",
    )(command)


def _parse_terms(ctx: click.Context, param: click.Parameter, terms: tuple[str, ...]) -> Any:
    from retrieval.query import parse_weighted

    try:
        return tuple(parse_weighted(term) for term in terms)
    except QueryError as error:
        raise click.BadParameter(str(error), ctx, param) from None


def plus_and_minus_options(command: Command) -> Command:
    """``--plus`` and ``--minus``, tuples of weighted texts."""
    for name, meaning in (
        ("--minus", "Search away from this text; 0.5:people counts half."),
        ("--plus", "Also search for this text; 2:sunset counts twice."),
    ):
        command = click.option(
            name,
            metavar="TEXT",
            multiple=True,
            callback=_parse_terms,
            help=f"{meaning} Repeatable.",
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
        help="Also search for pictures like this one; 0.5:a.jpg counts half. Repeatable.",
    )(command)


def group_option(command: Command) -> Command:
    """``--group``."""
    return click.option(
        "--group",
        is_flag=True,
        help="Show only the best of each group of near-duplicates, and say how many others it has.",
    )(command)


def _threshold_needs_group(command: Command) -> Command:
    @wraps(command)
    def checked(**values: Any) -> Any:
        given = click.get_current_context().get_parameter_source("threshold")
        if given is ParameterSource.COMMANDLINE and not values["group"]:
            raise click.UsageError("--threshold is for --group: give --group, too.")
        return command(**values)

    return cast(Command, checked)


def search_options(command: Command) -> Command:
    """The options that `align search` and `align similar` share."""
    command = _threshold_needs_group(command)
    for option in (
        device_option,
        model_option,
        library_option,
        hit_options,
        sort_option,
        min_score_option,
        filter_options,
        k_option,
        threshold_option,
        group_option,
        plus_and_minus_options,
    ):
        command = option(command)
    return command
