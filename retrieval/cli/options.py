"""Options that several commands share."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

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
        help="Checkpoint: a folder, a hub id or align-mini. By default the library's own; a new"
        " library takes kakaobrain/align-base.",
    )(command)


def checkpoint_option(command: Command) -> Command:
    """``--model``, else ALIGN_MODEL, else kakaobrain/align-base: for commands without a library."""
    return click.option(
        "--model",
        default=DEFAULT_MODEL,
        show_default=True,
        envvar=MODEL_VARIABLE,
        show_envvar=True,
        help="Checkpoint: a folder, a hub id or align-mini.",
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


def threshold_option(command: Command) -> Command:
    """``--threshold``, in (0, 1]."""
    return click.option(
        "--threshold",
        type=NumberRange(0, 1, min_open=True),
        default=NEAR_DUPLICATE,
        show_default=True,
        help="Pictures with at least this cosine are near-duplicates.",
    )(command)


def json_option(command: Command) -> Command:
    """``--json``."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        help="Print JSON, one object per line, not a table.",
    )(command)
