"""`align index`"""

from dataclasses import asdict
from pathlib import Path

import click

from indexer import LayoutChoice
from retrieval.cli.libraries import encoder_loader, locate_for_indexing
from retrieval.cli.options import (
    device_option,
    json_option,
    layout_option,
    library_option,
    model_option,
    wait_option,
)
from retrieval.cli.output import ProgressBar, count, print_json, say


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
@layout_option
@click.option(
    "--allow-missing", is_flag=True, help="Forget what is gone with a folder that is gone or empty."
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="GLOB",
    help='Leave out what matches: a name anywhere, or with a "/" a path in the folder, where "*"'
    ' crosses "/". Repeat it for more globs; remembered, replaces earlier ones, "" clears them.',
)
@click.option(
    "--follow-symlinks/--no-follow-symlinks",
    default=None,
    help="Follow symbolic links to files and folders; remembered. Not by default.",
)
@wait_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[Path, ...],
    library: Path | None,
    model: str | None,
    device: str,
    batch_size: int,
    reembed: bool,
    layout: LayoutChoice | None,
    allow_missing: bool,
    exclude: tuple[str, ...],
    follow_symlinks: bool | None,
    wait: float,
    as_json: bool,
) -> None:
    """Add pictures and texts to a library, or bring it up to date.

    A folder is searched for pictures; a later run embeds only what is new or changed and forgets
    what is gone. Texts come from .txt (one a line), .csv (column caption or text) and .jsonl files
    that are named here. Without a PATH, everything the library watches is looked at again.
    --exclude and --follow-symlinks hold for the folders of the PATHs, or without a PATH for all.

    A watched folder that is missing, suddenly empty, or on another device and incomplete is left
    alone with all it held; the others are brought up to date, and the exit status is 1. So is a
    folder below it on a device of its own.

    The library is the one given, or found from PATH or the current folder upwards; where there is
    none, a new one is made inside the first folder, in .align.
    """
    from indexer import Library

    with Library.create(locate_for_indexing(library, paths), wait=wait) as opened:
        report = opened.index(
            paths,
            encoder_loader(opened, model, device),
            reembed=reembed,
            allow_missing=allow_missing,
            exclude=exclude or None,
            follow_symlinks=follow_symlinks,
            batch_size=batch_size,
            progress=ProgressBar(),
            layout=layout,
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
                "updated": report.updated,
                "deleted": report.deleted,
                "unchanged": report.unchanged,
            }
            said = ", ".join(f"{n:,} {what}" for what, n in parts.items() if n) or "no pictures"
            click.echo(f"{said} in {report.seconds:.1f} s: {click.format_filename(opened.path)}")
        if report.failed:
            say(f"{count(report.failed, 'file')} could not be read: see align failures")
        for sentence in report.unavailable:
            say(f"align: {sentence}")
        if report.unavailable:
            ctx.exit(1)
