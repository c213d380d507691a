"""Hits drawn in a terminal."""

import sys

import click

from encoder import PictureError, read_picture
from retrieval.cli.names import shown
from retrieval.cli.output import say
from retrieval.results import Results

HEIGHT = 12
"""Lines of the terminal."""
_PIXELS = 480


def draw(results: Results) -> None:
    """Draw each hit with its rank and name below, as well as the terminal can."""
    if sys.stdout.isatty() and not sys.stdin.isatty():
        raise click.UsageError(
            "--preview asks the terminal what it can draw: do not redirect the input."
        )
    try:
        from rich.console import Console
        from textual_image.renderable import Image
    except ImportError:
        raise click.UsageError(
            "--preview needs textual-image: pip install 'align-retrieval[preview]'"
        ) from None
    console = Console()
    for hit in results:
        try:
            picture = read_picture(hit.path).image
        except (PictureError, OSError) as error:
            say(f"{shown(hit.path)} cannot be drawn: {error}")
            continue
        picture.thumbnail((_PIXELS, _PIXELS))
        console.print(Image(picture, width="auto", height=HEIGHT))
        console.print(f"{hit.rank}  {shown(hit.path)}", markup=False, highlight=False)
