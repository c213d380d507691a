"""`align index`"""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from encoder import Encoder
from retrieval.cli.libraries import locate_for_indexing
from retrieval.cli.options import (
    device_option,
    json_option,
    library_option,
    model_option,
    wait_option,
)
from retrieval.cli.output import ProgressBar, count, print_json, say
from retrieval.settings import DEFAULT_MODEL


@click.command()
@click.argument(
    "paths", nargs=-1, type=click.Path(path_type=Path, exists=True), metavar="[PATH]..."
)
@library_option
@model_option
@device_option
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Pictures embedded and committed at once.",
)
@click.option("--reembed", is_flag=True, help="Embed everything anew, with another --model.")
@wait_option
@json_option
def command(
    paths: tuple[Path, ...],
    library: Path | None,
    model: str | None,
    device: str,
    batch_size: int,
    reembed: bool,
    wait: float,
    as_json: bool,
) -> None:
    """Add pictures and texts to a library, or bring it up to date.

    A folder is searched for pictures; a later run embeds only what is new or changed and forgets
    what is gone. Texts come from .txt (one a line), .csv (column caption or text) and .jsonl files
    that are named here. Without a PATH, everything the library watches is looked at again.

    The library is the one given, or found from PATH or the current folder upwards; where there is
    none, a new one is made inside the first folder, in .align.
    """
    from indexer import Library

    with Library.create(locate_for_indexing(library, paths), wait=wait) as opened:
        known = opened.model
        name = model or (known.name if known else DEFAULT_MODEL)

        def load() -> Encoder:
            from encoder import load_encoder

            if sys.stderr.isatty():
                say(f"loading {name} ...")
            return load_encoder(name, device)

        report = opened.index(
            paths,
            load,
            reembed=reembed,
            batch_size=batch_size,
            progress=ProgressBar("file"),
            wait=wait,
        )
        if as_json:
            print_json({"library": str(opened.path), **asdict(report)})
        else:
            parts = {
                "added": report.added,
                "changed": report.changed,
                "moved": report.moved,
                "copied": report.copied,
                "deleted": report.deleted,
                "unchanged": report.unchanged,
            }
            said = ", ".join(f"{n:,} {what}" for what, n in parts.items() if n) or "no pictures"
            click.echo(f"{said} in {report.seconds:.1f} s: {click.format_filename(opened.path)}")
        if report.failed:
            say(f"{count(report.failed, 'file')} could not be read: see align failures")
