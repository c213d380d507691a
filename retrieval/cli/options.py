"""Options that several commands share."""

import math
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from retrieval.defaults import (
    DEFAULT_K,
    DEFAULT_MODEL,
    DEVICE_VARIABLE,
    LIBRARY_VARIABLE,
    MODEL_VARIABLE,
    NEAR_DUPLICATE,
)

MAX_WAIT = 366 * 24 * 3600
"""Seconds, a year: as good as forever."""

Command = TypeVar("Command", bound=Callable[..., Any])


class NumberRange(click.FloatRange):
    """A number in a range; nan is in none."""

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
        help="Checkpoint: a folder, a hub id, align-small or align-mini; also transformers:NAME or"
        " module:factory. By default the library's own; a new library takes"
        " kakaobrain/align-base.",
    )(command)


def checkpoint_option(command: Command) -> Command:
    """``--model``, else ALIGN_MODEL, else kakaobrain/align-base: for commands without library."""
    return click.option(
        "--model",
        default=DEFAULT_MODEL,
        show_default=True,
        envvar=MODEL_VARIABLE,
        show_envvar=True,
        help="Checkpoint: a folder, a hub id, align-small or align-mini; also transformers:NAME or"
        " module:factory.",
    )(command)


def layout_option(command: Command) -> Command:
    """``--index``; None means: as the library has it."""
    return click.option(
        "--index",
        "layout",
        type=click.Choice(["auto", "flat", "ivf"]),
        help="Layout of this index and later ones: flat is exact; ivf, from 64 items on, is faster"
        " for millions; auto, as a new library has it, is flat up to 200,000 items.",
    )(command)


def device_option(command: Command) -> Command:
    """``--device``, else ALIGN_DEVICE, else auto."""
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        envvar=DEVICE_VARIABLE,
        show_envvar=True,
        help="auto, cpu, cuda or mps (Apple).",
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


def threshold_option(command: Command) -> Command:
    """``--threshold``, in (0, 1]."""
    return click.option(
        "--threshold",
        type=NumberRange(0, 1, min_open=True),
        help="Pictures with at least this cosine are near-duplicates. [default: the model's own;"
        f" {NEAR_DUPLICATE} if it tells none]",
    )(command)


def form_options(command: Command) -> Command:
    """``--json``, ``--paths`` and ``--print0`` into `form`, of which one may be given."""

    @wraps(command)
    def formed(**values: Any) -> Any:
        given = [name for name in ("json", "paths", "print0") if values.pop(f"as_{name}")]
        if len(given) > 1:
            raise click.UsageError(f"--{given[0]} and --{given[1]} exclude each other: give one.")
        return command(form=given[0] if given else "table", **values)

    wrapped: Any = formed
    for name, what in (
        ("print0", "Print the paths alone, each with a NUL behind it, as for xargs -0."),
        ("paths", "Print the paths alone, one a line."),
        ("json", "Print JSON, one object per line, not a table."),
    ):
        wrapped = click.option(f"--{name}", f"as_{name}", is_flag=True, help=what)(wrapped)
    return cast(Command, wrapped)


def json_option(command: Command) -> Command:
    """``--json``."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print JSON, one object per line, not a table.",
    )(command)
