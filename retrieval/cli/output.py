"""What commands print: data on stdout, messages and progress on stderr."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from math import isnan
from pathlib import Path
from typing import Any, Literal

import click
from tqdm import tqdm

from encoder.bundled import facts
from indexer import GenerationStatus, RootStatus
from retrieval.cli.names import printable, raw, shown
from retrieval.results import Results, json_values

Form = Literal["table", "json", "paths", "print0"]
"""What a command prints: a table for people, JSON lines, or paths alone."""


def print_json(values: Mapping[str, Any]) -> None:
    """One JSON object on a line of its own; paths and dates are texts, see `json_values`."""
    click.echo(json.dumps(json_values(values)))


def root_values(root: RootStatus) -> dict[str, Any]:
    """A watched folder as `print_json` takes it."""
    away = {str(path): state for path, state in root.away}
    return {**asdict(root), "away": away}


def print_paths(paths: Iterable[Path], form: Form) -> None:
    """Paths alone, each on a line, or with a NUL behind it."""
    for path in paths:
        click.echo(raw(path) + (b"\0" if form == "print0" else b"\n"), nl=False)


def print_hits(
    results: Results,
    form: Form,
    *,
    full: bool = False,
    dated: bool = False,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Hits as a table of rank, score, with `dated` the date, and path or text; or as JSON lines,
    `about` first in each and with `full` all metadata; or as paths."""
    if results.degraded:
        say(f"note: {results.degraded}")
    if not results:
        say("nothing found")
    if form in ("paths", "print0"):
        print_paths((hit.path for hit in results), form)
        return
    for hit in results:
        if form == "json":
            print_json({**(about or {}), **hit.to_dict(full=full)})
            continue
        what = shown(hit.path) if hit.kind == "image" else printable(hit.text or "")
        more = f"  (+{hit.similar:,} similar)" if hit.similar else ""
        score = "" if isnan(hit.score) else f"  {hit.score:.3f}"
        date = f"  {_date(hit.taken_at)}" if dated or isnan(hit.score) else ""
        click.echo(f"{hit.rank:>3}{score}{date}  {what}{more}")


def _date(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "no date".ljust(16)


def generation_rows(generations: Sequence[GenerationStatus]) -> list[tuple[str, str]]:
    """One or three rows for each index: what it holds, and how it was measured."""
    rows = []
    for g in generations:
        lists = f" with {g.nlist:,} lists" if g.nlist else ""
        rows.append(
            (
                f"{g.kind} index",
                f"{g.type}{lists}, {count(g.count, 'item')}, {g.bytes / 1e6:.1f} MB,"
                f" {g.delta:,} newer, {g.deleted:,} deleted{', mapped' if g.mapped else ''}",
            )
        )
        if g.curve:
            ten, hundred, *_ = g.curve.cases
            worst = g.curve.lowest
            rows += [
                (
                    "",
                    f"recall@10 {ten.recall:.3f} in {ten.milliseconds:.1f} ms, recall@100"
                    f" {hundred.recall:.3f} in {hundred.milliseconds:.1f} ms, measured with"
                    f" {g.curve.origin}",
                ),
                (
                    "",
                    f"with filters {worst.recall:.3f} or more (recall@{worst.k} in"
                    f" {worst.milliseconds:.1f} ms among {worst.among})",
                ),
            ]
    return rows


def print_rows(rows: Sequence[tuple[str, str]]) -> None:
    """Names and values, aligned."""
    for name, value in rows:
        click.echo(f"{name + ':' if name else '':<14}{value}")


def say(line: str) -> None:
    """Print a message on stderr, above a progress bar if there is one."""
    with tqdm.external_write_mode(file=sys.stderr):
        click.echo("\n".join(map(printable, line.split("\n"))), err=True)


def count(n: int, noun: str) -> str:
    """``1 picture``, ``2,000 pictures``."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def size(n: int) -> str:
    """``900 bytes``, ``1.2 MB``."""
    for unit, per in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= per:
            return f"{n / per:.1f} {unit}"
    return count(n, "byte")


def unreadable(failing: int, passing: int, library: str = "") -> str:
    """How many files fail, and where to see them; `library` is the option that names it."""
    some = f"{passing:,} of them" if failing > 1 else "it"
    again = f" ({some} may be readable next time)" if passing else ""
    return f"{count(failing, 'file')} cannot be read{again}: see align failures{library}"


def say_limits(model: str) -> None:
    """Say what pictures a model knows, if it knows no photographs."""
    if known := facts(model).knows_only:
        say(f"note: {model} knows {known} only; --model align-small knows photographs")


def close_bars() -> None:
    """Take all progress bars off the terminal: the work has ended, or was given up."""
    for bar in list(getattr(tqdm, "_instances", ())):
        bar.close()


class ProgressBar:
    """Progress on stderr, only when it is a terminal; an `indexer.Progress`."""

    def __init__(self, unit: str | None = None) -> None:
        """`unit` is the name of one step; by default the name that `start` gets."""
        self._unit = unit
        self._bar: tqdm[Any] | None = None

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._bar is not None

    def start(self, total: int, what: str, done: int = 0) -> None:
        """Begin a bar of `total` units, of which `done` are finished."""
        self.finish()
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=what,
            unit=f" {self._unit or what}",
            disable=not sys.stderr.isatty(),
            file=sys.stderr,
            leave=False,
        )

    def advance(self, n: int = 1) -> None:
        """Count `n` more as finished."""
        if self._bar is not None:
            self._bar.update(n)

    def note(self, text: str) -> None:
        """Show a few words after the bar."""
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=False)

    def finish(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
