"""`align demo`"""

import shutil
import sys
from pathlib import Path
from random import Random

import click

from encoder import AlignError, Encoder
from encoder.durable import write_whole
from encoder.scenes import make_scene
from retrieval.cli.names import pasteable
from retrieval.cli.output import ProgressBar, count, print_hits, say

MODEL = "align-mini"
PICTURES = 500
FIRST_SEED = 20_000_000
HITS = 5
QUESTIONS = (
    "an elephant in the snow",
    "a bus at night",
    "a butterfly in a field",
    "a balloon in the city",
    "a brown mushroom",
)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default="align-demo")
def command(folder: Path) -> None:
    """Draw 500 scenes into FOLDER, index them and ask five questions.

    Prints the hits and writes FOLDER/results.html and FOLDER/results.png. The names of the scenes
    say nothing about what they show. Nothing is downloaded: the model is the bundled align-mini.
    It takes about half a minute and 20 MB.
    """
    from indexer import Library
    from retrieval.contact_sheet import Answer, draw_sheet, page
    from retrieval.opening import open_library

    if folder.exists() and any(folder.iterdir()) and not (folder / ".align").exists():
        raise AlignError(f"{folder} holds other files: name a new folder, as in align demo NEW")
    with Library.create(folder) as library:
        _draw(folder / "pictures")
        report = library.index([folder / "pictures"], _load, progress=ProgressBar("picture"))
        new = report.added + report.changed
        say(f"indexed {count(new, 'new picture')} in {report.seconds:.1f} s")

    answers = []
    with open_library(folder) as engine:
        for question in QUESTIONS:
            hits = engine.search(question, HITS)
            click.echo(f"\n{question}")
            print_hits(hits, "table")
            answers.append(Answer(question, hits))
    draw_sheet(answers).save(folder / "results.png")
    intro = "Every picture was found by its pixels alone; the numbers are rank and score."
    sheet = page("Found by meaning", answers, folder, intro)
    (folder / "results.html").write_text(sheet, "utf-8")
    align = _as_called()
    say(
        f"\nLook at {folder / 'results.html'} or {folder / 'results.png'}.\n"
        "Then try:\n"
        f'  {align} search "two red birds" --library {pasteable(folder)}\n'
        f"  {align} similar {pasteable(folder / 'pictures' / _name(0))} --library"
        f" {pasteable(folder)}\n"
        f"  {align} index ~/Pictures        (your own photos; downloads kakaobrain/align-base,"
        " 690 MB)"
    )


def _as_called() -> str:
    """How a shell finds this program: by its name, or by the path that it was called by."""
    called, found = Path(sys.argv[0]), shutil.which("align")
    if called.name != "align" or (found and called.exists() and Path(found).samefile(called)):
        return "align"
    return pasteable(called)


def _load() -> Encoder:
    from encoder import load_encoder

    return load_encoder(MODEL)


def _draw(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    bar = ProgressBar("scene")
    bar.start(PICTURES, "drawing")
    for i in range(PICTURES):
        path = folder / _name(i)
        if not path.exists():
            with write_whole(path, durable=False) as file:
                make_scene(FIRST_SEED + i).draw().save(file, "JPEG", quality=90)
        bar.advance()
    bar.finish()


def _name(i: int) -> str:
    return f"{Random(i).getrandbits(32):08x}.jpg"
