"""`align failures`"""

from pathlib import Path

import click

from retrieval.cli.libraries import locate
from retrieval.cli.options import json_option, library_option
from retrieval.cli.output import print_json


@click.command()
@json_option
@library_option
def command(as_json: bool, library: Path | None) -> None:
    """List the files that could not be read, and why.

    A file with bad bytes is tried again when it changes. A file that failed for a reason that may
    pass is tried again at every run: it could not be opened, say, or memory was short.
    """
    from indexer import Library

    with Library.open(locate(library)) as opened:
        for failure in opened.failures():
            if as_json:
                print_json(
                    {
                        "path": str(failure.path),
                        "reason": failure.reason,
                        "at": failure.at.isoformat(),
                        "passing": failure.passing,
                    }
                )
            else:
                again = " (tried again at every run)" if failure.passing else ""
                click.echo(f"{click.format_filename(failure.path)}: {failure.reason}{again}")
