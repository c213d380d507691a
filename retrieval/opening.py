"""Open a library to search it, and load the model that it was made with."""

import os
from pathlib import Path

from encoder import CheckpointError, Encoder, EncoderError, HubError
from encoder.named import is_factory
from indexer import Library
from retrieval.engine import Engine
from retrieval.trust import require_trusted_model


def open_library(
    path: str | os.PathLike[str],
    *,
    model: str | None = None,
    device: str = "auto",
    create: bool = False,
    encoder: Encoder | None = None,
) -> Engine:
    """Open the library in the folder `path` (or the ``.align`` folder itself). With `create`, make
    an empty one if there is none.

    `model` says where the library's model is now, such as a checkpoint folder that has moved; it
    must be the same model. For a new library it names the model to use. `encoder` is that model
    itself, for an encoder of your own (see docs/encoders.md). A library that belongs to another
    user loads only a model that comes with this program, unless `model` names one or `align trust`
    was told of the library. Raises LibraryNotFound with the remedy.
    """

    make = Library.create if create else Library.open
    library = make(Path(path).expanduser())

    def load(name: str) -> Encoder:
        if encoder is not None:
            return encoder
        own = library.model is not None and not model
        return load_own(library, name, device) if own else load_named(model or name, device)

    return Engine(library, load)


def load_named(name: str, device: str) -> Encoder:
    """The encoder that a user named; see `encoder.load_named_encoder`."""
    from encoder import load_named_encoder

    return load_named_encoder(name, device)


def load_own(library: Library, name: str, device: str) -> Encoder:
    """The library's own model. If it cannot be loaded, the error says whose model it is and how to
    tell the library where it is now. Raises UntrustedLibrary if another user may have chosen it."""
    require_trusted_model(library.path, name)
    if is_factory(name):
        raise EncoderError(
            f"this library was made with {name}, which is code of its own: name it with --model"
            f" {name}, and it is run"
        )
    try:
        return load_named(name, device)
    except (CheckpointError, HubError) as error:
        raise type(error)(
            f"{error}; {name} is this library's own model: if it has moved, say where it is now"
            " with `align index --model PLACE`"
        ) from error
