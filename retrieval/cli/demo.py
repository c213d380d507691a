"""`align demo`"""

import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import click

from encoder import AlignError
from encoder.bundled import facts
from encoder.durable import write_whole
from encoder.scenes import make_scene
from retrieval.cli.names import pasteable, printable
from retrieval.cli.opening import encoder_loader, is_another_name
from retrieval.cli.options import device_option
from retrieval.cli.output import ProgressBar, count, print_hits, say, say_limits, unreadable

if TYPE_CHECKING:
    from retrieval.contact_sheet import Answer

MODEL_FOR_SCENES, MODEL_FOR_PHOTOGRAPHS = "align-mini", "align-small"
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
QUESTIONS_TO_PHOTOGRAPHS = (
    "people at a table",
    "a dog",
    "a child playing",
    "food on a plate",
    "water and boats",
    "snow",
    "flowers",
    "a street in the city",
)


class OwnFolder(click.Path):
    """A folder that is there. A ~ that no shell has replaced is the user's home."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, exists=True, file_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(os.path.expanduser(value), param, ctx)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default="align-demo")
@click.option(
    "--pictures",
    type=OwnFolder(),
    help="Index this folder of your own instead of drawing scenes. Nothing is written into it.",
)
@click.option(
    "--question",
    "questions",
    multiple=True,
    metavar="TEXT",
    help="Ask this instead of the questions proposed. Repeatable.",
)
@click.option(
    "--model",
    help=f"Model to index with. [default: {MODEL_FOR_SCENES}; with --pictures"
    f" {MODEL_FOR_PHOTOGRAPHS}]",
)
@device_option
def command(
    folder: Path,
    pictures: Path | None,
    questions: tuple[str, ...],
    model: str | None,
    device: str,
) -> None:
    """Index pictures and answer questions, on a page to look at.

    Draws 500 scenes into FOLDER, or takes the folder of --pictures, indexes them into a library in
    FOLDER and asks some questions. Prints the hits and writes FOLDER/results.html and
    FOLDER/results.png. The names of the scenes say nothing about what they show. Nothing is
    downloaded: the models come with the package. With scenes it takes about half a minute and
    20 MB.
    """
    from indexer import Filters, Library, ModelMismatch
    from retrieval.contact_sheet import Answer, draw_sheet, page
    from retrieval.opening import open_library

    for question in questions:
        if not question.strip():
            raise click.BadParameter("is empty: say what to look for", param_hint="--question")
    if pictures and folder.resolve().is_relative_to(pictures.resolve()):
        raise AlignError(
            f"{folder} lies in {pictures}, into which nothing is written: name a folder elsewhere,"
            " as in align demo ~/align-demo --pictures FOLDER"
        )
    if not (folder / ".align").exists() and any(map(_is_foreign, _entries(folder))):
        raise AlignError(f"{folder} holds other files: name a new folder, as in align demo NEW")
    shown = pictures or folder / "pictures"
    with Library.create(folder) as library:
        if pictures is None:
            _draw(shown)
        if library.model is None:
            model = model or (MODEL_FOR_PHOTOGRAPHS if pictures else MODEL_FOR_SCENES)
        elif pictures and not model and facts(library.model.name).knows_only:
            raise AlignError(
                f"{folder} holds another demo, whose model knows no photographs: name a new folder"
            )
        load = encoder_loader(library, model, device)
        other = is_another_name(library, model)
        bar = ProgressBar("picture")
        try:
            report = library.index([shown], load, require_model=other, progress=bar)
        except ModelMismatch as error:
            raise AlignError(
                f"{folder} holds a demo of another model than {model}: name a new folder"
            ) from error
        within = Filters.parse(under=shown)
        if not len(library.ids("image", filters=within)):
            failures = library.failures()
            library.discard_if_empty()
            with suppress(OSError):  # it holds more, or is not ours
                folder.rmdir()
            if report.failing:
                one = next(f for f in failures if f.path.is_relative_to(shown.resolve()))
                raise AlignError(
                    f"{count(report.failing, 'file')} of {shown} cannot be read, such as"
                    f" {printable(one.path.name)} ({printable(one.reason)}), and there is no"
                    " picture beside: name another folder with --pictures"
                )
            raise AlignError(f"{shown} holds no pictures: name another folder with --pictures")
        new = report.added + report.changed
        say(f"indexed {count(new, 'new picture')} in {report.seconds:.1f} s")
        if pictures and library.model:
            say_limits(library.model.name)
        if report.failing:
            say(unreadable(report.failing, report.passing, f" --library {pasteable(folder)}"))

    answers = []
    with open_library(folder, device=device) as engine:
        roots = engine.library.roots()
        for question in questions or (QUESTIONS_TO_PHOTOGRAPHS if pictures else QUESTIONS):
            hits = engine.search(question, HITS, filters=within)
            click.echo(f"\n{question}")
            print_hits(hits, "table")
            answers.append(Answer(question, hits))
    draw_sheet(answers).save(folder / "results.png")
    intro = "Every picture was found by its pixels alone; the numbers are rank and score."
    sheet = page("Found by meaning", answers, folder, intro)
    (folder / "results.html").write_text(sheet, "utf-8")
    _propose(folder, answers, pictures, alone=len(roots) == 1)


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.exists() else []


def _is_foreign(path: Path) -> bool:
    """Whether `path` is something else than another demo."""
    return not (path / ".align").exists()


def _propose(
    folder: Path, answers: "Sequence[Answer]", pictures: Path | None, *, alone: bool
) -> None:
    """Say where to look and what to try next; `alone`: the library holds no other folder."""
    align, library = _as_called(), f"--library {pasteable(folder)}"
    if pictures and not alone:
        library += f" --under {pasteable(pictures)}"
    best = [hit.path for answer in answers for hit in answer.hits]
    say(
        f"\nLook at {folder / 'results.html'} or {folder / 'results.png'}.\n"
        "Then try:\n"
        f'  {align} search "{"a person" if pictures else "two red birds"}" {library}'
    )
    if best:
        say(f"  {align} similar {pasteable(best[0])} {library}")
    if pictures is None:
        say(
            f"  {align} demo my-photos --pictures ~/Pictures        (the same with your own"
            " photographs)"
        )


def _as_called() -> str:
    """How a shell finds this program: by its name, or by the path that it was called by."""
    called, found = Path(sys.argv[0]), shutil.which("align")
    if called.name != "align" or (found and called.exists() and Path(found).samefile(called)):
        return "align"
    return pasteable(called)


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
