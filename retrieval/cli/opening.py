"""Find the library that a command is for."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from shlex import quote

from encoder import Encoder
from encoder.named import is_here
from indexer import Library, LibraryNotFound, ModelMismatch, find_library
from retrieval.cli.names import pasteable, shown
from retrieval.cli.output import say
from retrieval.defaults import DEFAULT_MODEL, LIBRARY_VARIABLE
from retrieval.engine import Engine
from retrieval.known_libraries import watching
from retrieval.opening import load_named, load_own, open_library
from retrieval.trust import require_trust


def encoder_loader(library: Library, model: str | None, device: str) -> Callable[[], Encoder]:
    """A function that loads the model named, else the library's own, else the default one."""
    known = library.model

    def load() -> Encoder:
        name = model or (known.name if known else DEFAULT_MODEL)
        if sys.stderr.isatty():
            say(f"loading {name} ...")
        return load_own(library, name, device) if known and not model else load_named(name, device)

    return load


def load_here(library: Path | None, model: str | None, device: str) -> Encoder:
    """The model named, else that of the library named or found here, else the default one."""
    found = library or _found(Path.cwd()) or _watching(Path.cwd()) if model is None else None
    if found is None:
        return load_named(model or DEFAULT_MODEL, device)
    with Library.open(found) as opened:
        return encoder_loader(opened, None, device)()


def is_another_name(library: Library, model: str | None) -> bool:
    """Whether `model` is given, and is not the name by which the library knows its own."""
    known = library.model
    return model is not None and known is not None and model != known.name


def open_engine(library: Path | None, model: str | None, device: str) -> Engine:
    """Open the library named, else the one found from the current folder upwards. Raises
    ModelMismatch for a model that would have to be fetched only to be refused."""
    engine = open_library(locate(library), model=model, device=device)
    own = engine.library.model
    if own and model and model != own.name and not is_here(model):
        engine.close()
        raise ModelMismatch(
            f"the library uses {own.name}, and {model} is not on this machine: leave out --model,"
            f" or embed everything again with `align index --reembed --model {quote(model)}`"
        )
    return engine


def say_notes(encoder: Encoder, texts: Iterable[str]) -> None:
    """Say which texts the model cannot read, or not to their ends."""
    notes = getattr(encoder, "notes", None)  # an encoder of the user's own may have none
    for note in notes(texts) if notes else ():
        say(f"note: {note}")


def locate(library: Path | None) -> Path:
    """The folder of the library named or found. Raises LibraryNotFound with the remedy."""
    found = library or _found(Path.cwd()) or _watching(Path.cwd())
    if found is None:
        raise LibraryNotFound(
            "there is no library in this folder or above, and none that watches it: make one with"
            f" `align index FOLDER`, or name it with --library or {LIBRARY_VARIABLE} (`align"
            " libraries` lists them)"
        )
    return found


def locate_for_indexing(library: Path | None, paths: tuple[Path, ...]) -> Path:
    """As `locate`, but for the first path, then for the current folder. If there is no library and
    the first path is a folder, that folder gets a new one."""
    if library is not None or not paths:
        return locate(library)
    first = paths[0].absolute()
    found = _found(first if first.is_dir() else first.parent) or _watching(first)
    found = found or _found(Path.cwd())
    if found is None and first.is_dir():
        return first
    return found or locate(None)


def _found(start: Path) -> Path | None:
    """The library at or above `start`, which nobody named. Raises UntrustedLibrary."""
    found = find_library(start)
    if found is not None:
        require_trust(found)
    return found


def _watching(path: Path) -> Path | None:
    """The known library that watches `path`. Raises LibraryNotFound if there are several."""
    found = watching(path)
    if len(found) > 1:
        named = ", ".join(pasteable(directory.parent) for directory in found)
        raise LibraryNotFound(
            f"several libraries watch {shown(path)}: name one of these with --library: {named}"
        )
    return found[0] if found else None
