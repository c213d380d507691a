"""Encoders by name: checkpoints of ALIGN, models of transformers, and code of the user's own."""

import re
import sys
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path

from encoder.errors import EncoderError
from encoder.protocol import Encoder

TRANSFORMERS = "transformers:"
GROUP = "align_retrieval.encoders"
"""The group of entry points by which an installed package offers encoders."""

_FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_ATTRIBUTES = (
    *("name", "fingerprint", "dim", "temperature", "preprocessing"),
    *("prepare", "encode_images", "encode_texts"),
)


def is_factory(name: str) -> bool:
    """Whether `name` is ``module:factory``: code that is run only if a person names it."""
    is_code = _FACTORY.fullmatch(name) is not None and not name.startswith(TRANSFORMERS)
    return is_code and not Path(name).exists()


def is_here(name: str) -> bool:
    """Whether the encoder with this name can be loaded without fetching anything. A wrong name
    counts as here: loading it says what is wrong."""
    bare = name.removeprefix(TRANSFORMERS)
    if is_factory(name) or Path(bare).expanduser().exists() or not _HUB_ID.fullmatch(bare):
        return True
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(bare, "config.json"), str)


def load_named_encoder(name: str, device: str = "auto") -> Encoder:
    """The encoder with a name that a person gave.

    ``module:factory`` imports `module`, also from the current folder, and calls its
    ``factory(device)``. ``transformers:MODEL`` is a dual encoder of transformers, by a folder or a
    hub id. The name of an entry point in the group ``align_retrieval.encoders`` calls what it
    points to, also with the device. Everything else is a checkpoint; see `encoder.load_encoder`.
    Raises EncoderError with the remedy.
    """
    if is_factory(name):
        module, _, factory = name.partition(":")
        return _made(name, lambda: getattr(_imported(module), factory), device)
    if name.startswith(TRANSFORMERS):
        from encoder.transformers_encoder import load_transformers

        return load_transformers(name.removeprefix(TRANSFORMERS), device)
    for entry in metadata.entry_points(group=GROUP, name=name):
        return _made(name, entry.load, device)
    from encoder import load_encoder

    return load_encoder(name, device)


def _imported(module: str) -> object:
    """A module, also of the current folder, where commands are given."""
    if "" not in sys.path:
        sys.path.append("")
    return import_module(module)


def _made(name: str, find: Callable[[], Callable[[str], Encoder]], device: str) -> Encoder:
    try:
        encoder = find()(device)
    except EncoderError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise EncoderError(
            f"{name} made no encoder ({type(error).__name__}: {reason}); see docs/encoders.md"
        ) from error
    lacking = [attribute for attribute in _ATTRIBUTES if not hasattr(encoder, attribute)]
    if lacking:
        raise EncoderError(f"{name} made no encoder: it lacks {', '.join(lacking)}")
    return encoder
