"""`align failures`"""

from pathlib import Path

import click

from retrieval.cli.names import printable, shown
from retrieval.cli.opening import locate
from retrieval.cli.options import form_options, library_option
from retrieval.cli.output import Form, print_json, print_paths


@click.command()
@form_options
@library_option
def command(form: Form, library: Path | None) -> None:
    """List the files that could not be read, and why.

    A file with bad bytes is tried again when it changes. A file that failed for a reason that may
    pass is tried again at every run: it could not be opened, say, or memory was short.
    """
    from indexer import Library

    with Library.open(locate(library)) as opened:
        failures = opened.failures()
    if form in ("paths", "print0"):
        print_paths((failure.path for failure in failures), form)
        return
    for failure in failures:
        if form == "json":
            print_json(vars(failure))
        else:
            again = " (tried again at every run)" if failure.passing else ""
            click.echo(f"{shown(failure.path)}: {printable(failure.reason)}{again}")
