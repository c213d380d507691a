"""What becomes of the hits of a search: printed, copied, linked, put on a page, drawn."""

import os
import shutil
import tempfile
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass, field
from filecmp import cmp
from functools import wraps
from pathlib import Path
from typing import Any, cast

import click

from encoder.durable import write_whole
from retrieval.cli.names import shown
from retrieval.cli.options import Command, form_options
from retrieval.cli.output import Form, count, print_hits, say
from retrieval.results import Hit, Results


@dataclass
class HitOutput:
    """Where the hits of a command go."""

    form: Form
    full: bool
    copy_to: Path | None
    link_to: Path | None
    html: Path | None
    browse: bool
    preview: bool
    failed: bool = field(default=False, init=False)
    _answers: list[tuple[str, list[Hit]]] = field(default_factory=list, init=False)

    def show(
        self, query: str, results: Results, *, dated: bool = False, asked: bool = False
    ) -> None:
        """Do what was asked for with the hits of one question; with `asked`, say the question."""
        if asked and self.form == "table":
            click.echo(query)
        about = {"query": query} if asked else None
        print_hits(results, self.form, full=self.full, dated=dated, about=about)
        if self.preview:
            from retrieval.cli.preview import draw

            draw(results)
        if self.copy_to:
            self._put(results, self.copy_to, "copied", shutil.copy2)
        if self.link_to:
            self._put(results, self.link_to, "linked", os.symlink)
        self._answers.append((query, list(results)))

    def finish(self) -> int:
        """Write and open the page. Returns the exit status."""
        if self.html or self.browse:
            from retrieval.contact_sheet import Answer, page

            answers = [Answer(query, hits) for query, hits in self._answers]
            file = self.html or Path(tempfile.mkdtemp(prefix="align-")) / "hits.html"
            with write_whole(file, durable=False) as out:
                out.write(page("Found by meaning", answers, file.absolute().parent).encode())
            say(f"wrote {shown(file)}")
            if self.browse and not webbrowser.open(file.absolute().as_uri()):
                say("there is no browser here to open it with")
        return int(self.failed)

    def _put(
        self, results: Results, folder: Path, done: str, put: Callable[[Path, Path], object]
    ) -> None:
        """Copy or link the hits into `folder`. What is there already stays."""
        folder.mkdir(parents=True, exist_ok=True)
        n = 0
        for hit in results:
            try:
                place = _free(folder, hit.path)
                if place is not None:
                    put(hit.path, place)
                n += 1
            except OSError as error:
                say(f"align: {shown(hit.path)} was not {done}: {error.strerror or error}")
                self.failed = True
        say(f"{done} {count(n, 'file')} to {shown(folder)}")


def _free(folder: Path, file: Path) -> Path | None:
    """A name in `folder` that is not taken; None if `file` is there already."""
    for n in range(1, 100_000):
        place = folder / (file.name if n == 1 else f"{file.stem} ({n}){file.suffix}")
        if not os.path.lexists(place):
            return place
        if place.exists() and (place.samefile(file) or cmp(place, file, shallow=False)):
            return None
    raise OSError("too many files there have this name")


def hit_options(command: Command) -> Command:
    """Options for what becomes of hits, passed on as `output`."""

    @wraps(command)
    def wrapped_command(**values: Any) -> Any:
        names = ("form", "full", "copy_to", "link_to", "html", "browse", "preview")
        output = HitOutput(**{name: values.pop(name) for name in names})
        if output.full and output.form != "json":
            raise click.UsageError("--full is for --json: give --json, too.")
        command(output=output, **values)
        return output.finish()

    wrapped: Any = wrapped_command
    folder = click.Path(path_type=Path, file_okay=False)
    file = click.Path(path_type=Path, dir_okay=False, writable=True)
    for option in (
        click.option("--preview", is_flag=True, help="Draw the hits in the terminal."),
        click.option("--open", "browse", is_flag=True, help="Open that page in the browser."),
        click.option("--html", type=file, help="Write a page with the hits to this file."),
        click.option("--link-to", type=folder, help="Make symbolic links to the hits there."),
        click.option("--copy-to", type=folder, help="Copy the files of the hits there."),
        click.option("--full", is_flag=True, help="With --json, also camera, place and fields."),
        form_options,
    ):
        wrapped = option(wrapped)
    return cast(Command, wrapped)
