"""`align index`"""

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import click

from indexer import LayoutChoice
from retrieval.cli.names import whole
from retrieval.cli.opening import encoder_loader, is_another_name, locate_for_indexing
from retrieval.cli.options import (
    device_option,
    json_option,
    layout_option,
    library_option,
    model_option,
    wait_option,
)
from retrieval.cli.output import ProgressBar, print_json, say, say_limits, unreadable


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
    help="Pictures to embed and commit at once.",
)
@click.option("--reembed", is_flag=True, help="Embed everything again, with another --model.")
@layout_option
@click.option(
    "--allow-missing",
    is_flag=True,
    help="Also forget files whose folder is missing or empty.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="GLOB",
    help='Leave out what matches: a name anywhere or, if GLOB has a "/", a path in the folder ("*"'
    ' also matches "/"). Repeatable. Remembered; new globs replace the old ones, "" removes them.',
)
@click.option(
    "--follow-symlinks/--no-follow-symlinks",
    default=None,
    help="Follow symbolic links to files and folders; remembered. By default they are ignored.",
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

    A folder is searched for pictures, with all folders in it. A later run embeds only new and
    changed files and forgets files that are gone. Texts come from .txt (one per line), .csv (column
    caption or text) and .jsonl files, each named as a PATH. Without a PATH, all that the library
    watches is looked at again. --exclude and --follow-symlinks apply to the folders of the PATHs,
    or to all watched folders if there is no PATH.

    If a watched folder is missing, suddenly empty, or on another device and incomplete, the library
    keeps all its items, brings the other folders up to date, and the exit status is 1. The same
    holds for a folder inside it that is on a device of its own.

    The library is the one given, or the one found from PATH or the current folder upwards. If there
    is none, a new one is made inside the first folder, in .align.
    """
    from indexer import Library, LibraryError, directory_of, remedies
    from retrieval.known_libraries import remember

    where = locate_for_indexing(library, paths)
    is_new = not directory_of(where).exists()
    with Library.create(where, wait=wait) as opened:
        try:
            report = opened.index(
                paths,
                encoder_loader(opened, model, device),
                reembed=reembed,
                require_model=is_another_name(opened, model),
                allow_missing=allow_missing,
                exclude=exclude or None,
                follow_symlinks=follow_symlinks,
                batch_size=batch_size,
                progress=ProgressBar(),
                layout=layout,
                wait=wait,
            )
        except BaseException:
            if is_new:
                with suppress(LibraryError):
                    opened.discard_if_empty()
            raise
        remember(opened.path)
        if as_json:
            print_json({"library": str(opened.path), **asdict(report)})
        else:
            parts = {
                "added": report.added,
                "changed": report.changed,
                "moved": report.moved,
                "copied": report.copied,
                "updated": report.updated,
                "reembedded": report.reembedded,
                "deleted": report.deleted,
                "unchanged": report.unchanged,
            }
            said = ", ".join(f"{n:,} {what}" for what, n in parts.items() if n) or "no pictures"
            click.echo(f"{said} in {report.seconds:.1f} s: {whole(opened.path)}")
        if opened.model and report.added:
            say_limits(opened.model.name)
        for name in report.given_up:
            say(f"embedding everything with {name} was begun and is given up now")
        for clause in remedies(report.passed_over):
            say(f"passed over: {clause}")
        if report.failing:
            say(unreadable(report.failing, report.passing))
        for sentence in report.unavailable:
            say(f"align: {sentence}")
        if report.unavailable:
            ctx.exit(1)
