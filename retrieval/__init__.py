"""Search a picture collection by meaning.

Each name loads on first use, so that ``align --help`` stays fast.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any


def _shadowed() -> str | None:
    """A sentence if a module of the user's own hides one of the packages beside this one."""
    for name in ("encoder", "indexer"):
        spec = find_spec(name)
        origin = spec.origin if spec else None
        if (
            origin
            and Path(origin).resolve().parent.parent != Path(__file__).resolve().parent.parent
        ):
            return (
                f"{origin} hides the package {name!r} of align-retrieval: rename it, or run the"
                " program from another folder"
            )
    return None


if _sentence := _shadowed():
    raise ImportError(_sentence, name=__name__)

if TYPE_CHECKING:
    from indexer import Filters
    from retrieval.classification import LabelScore, classify
    from retrieval.duplicates import Duplicates, find_duplicates
    from retrieval.engine import Engine
    from retrieval.errors import QueryError
    from retrieval.opening import open_library
    from retrieval.query import Weighted
    from retrieval.results import Hit, Results, Tagged

_HOMES = {
    "classification": ("LabelScore", "classify"),
    "duplicates": ("Duplicates", "find_duplicates"),
    "engine": ("Engine", "Filters"),
    "errors": ("QueryError",),
    "opening": ("open_library",),
    "query": ("Weighted",),
    "results": ("Hit", "Results", "Tagged"),
}

__all__ = [
    "Duplicates",
    "Engine",
    "Filters",
    "Hit",
    "LabelScore",
    "QueryError",
    "Results",
    "Tagged",
    "Weighted",
    "classify",
    "find_duplicates",
    "open_library",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"retrieval.{module}"), name)
    raise AttributeError(f"module 'retrieval' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
