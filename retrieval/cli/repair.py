"""`align repair`"""

from dataclasses import asdict
from pathlib import Path

import click

from indexer import Library, LibraryDamaged
from retrieval.cli.opening import encoder_loader, locate
from retrieval.cli.options import (
    device_option,
    json_option,
    library_option,
    model_option,
    wait_option,
)
from retrieval.cli.output import count, print_json, say
from retrieval.cli.verify import print_finding


@click.command()
@wait_option
@json_option
@library_option
@model_option
@device_option
def command(
    wait: float, as_json: bool, library: Path | None, model: str | None, device: str
) -> None:
    """Rebuild what can be rebuilt of a damaged library, and say what was lost.

    The damage that `align verify` finds is repaired from the database, or the files concerned are
    marked for the next `align index` to read and embed again.
    """
    try:
        with Library.open(locate(library), wait=wait) as opened:
            done = opened.repair(encoder_loader(opened, model, device), wait=wait)
    except LibraryDamaged as error:
        # Errors of a damaged database recommend what has just failed.
        said = str(error).replace("`align repair` may help, else restore", "restore")
        said = said.replace("run `align repair`", "restore it from a backup")
        raise LibraryDamaged(said) from error
    if as_json:
        print_json(asdict(done))
    else:
        for finding in done.repaired:
            print_finding(finding, as_json=False)
    say(f"{count(len(done.repaired), 'finding')} repaired" if done.repaired else "no damage found")
    for clause in done.lost:
        say(f"lost: {clause}")
