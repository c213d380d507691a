"""`align show`"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from indexer import Library, Said
from retrieval.cli.names import printable, shown
from retrieval.cli.opening import locate
from retrieval.cli.options import json_option, library_option
from retrieval.cli.output import print_json, print_rows, say, size
from retrieval.portrait import Portrait, portrait


@click.command()
@click.argument(
    "files", metavar="FILE...", type=click.Path(path_type=Path), nargs=-1, required=True
)
@click.option(
    "-k",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    help="Number of the most similar pictures.",
)
@json_option
@library_option
def command(files: tuple[Path, ...], k: int, as_json: bool, library: Path | None) -> int:
    """Tell all that the library knows of each FILE.

    The item and its metadata, where time and place come from, fields and who said them, copies, and
    the most similar pictures.
    """
    missing = 0
    with Library.open(locate(library)) as opened:
        for number, file in enumerate(files):
            items = opened.find(file)
            if not items:
                failed = [each for each in opened.failures() if each.path == file.absolute()]
                why = f"could not be read: {failed[0].reason}" if failed else "is not in it"
                say(f"align: {shown(file)} {why} (library {shown(opened.path)})")
                missing += 1
            for item in items:
                told = portrait(opened, item, k)
                if as_json:
                    print_json(told.to_dict())
                else:
                    if number:
                        click.echo()
                    click.echo(shown(item.path))
                    print_rows([(name, printable(text)) for name, text in _rows(told)])
    return int(missing > 0)


def _rows(told: Portrait) -> Iterator[tuple[str, str]]:
    item = told.item
    yield "item", f"{item.id} ({item.kind})"
    if item.kind == "image":
        yield "picture", f"{item.width} x {item.height} {item.format}, {size(item.bytes)}"
    if item.text:
        yield "caption" if item.kind == "image" else "text", item.text
    if item.taken_at:
        yield "taken", f"{item.taken_at.isoformat(' ')} ({told.sources.get('taken_at')})"
    if item.camera or item.lens:
        yield "camera", ", ".join(filter(None, (item.camera, item.lens)))
    if item.latitude is not None:
        yield "place", f"{item.latitude:.6f}, {item.longitude:.6f} ({told.sources.get('place')})"
    for said in told.said:
        yield "field", f"{said.name} = {_values(said)} ({_speaker(said)})"
    for other in told.copies:
        yield "copy", shown(other.path)
    for neighbour, score in told.neighbours:
        yield "similar", f"{score:.3f}  {shown(neighbour.path)}"
    yield "sha256", item.digest.hex()


def _values(said: Said) -> str:
    values = said.value if isinstance(said.value, tuple) else (said.value,)
    return ", ".join(
        str(value).lower() if isinstance(value, bool) else str(value) for value in values
    )


def _speaker(said: Said) -> str:
    about: dict[str, Any] = dict(said.about)
    how = about.get("table") or about.get("model")
    names = {"person": "annotated", "file": "in the file", "tag": "align tag", None: "sidecar"}
    who = names[said.speaker]
    parts = [who, *([str(how)] if how else []), *([f"{said.at:%Y-%m-%d}"] if said.at else [])]
    return ", ".join(parts) + ("" if said.counts else "; another word counts more")
