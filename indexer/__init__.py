"""Vectors, rows and files on disk: a library of embedded pictures and texts."""

from indexer.errors import (
    EmbeddingError,
    GenerationError,
    LibraryDamaged,
    LibraryError,
    LibraryLocked,
    LibraryNotFound,
    ModelMismatch,
    NewerLibrary,
    RootUnavailable,
    SourceNotFound,
    UnsupportedFile,
)
from indexer.library import Library, find_library
from indexer.progress import NULL, NullProgress, Progress
from indexer.records import (
    Failure,
    GenerationStatus,
    IndexReport,
    Item,
    Kind,
    Model,
    Neighbours,
    RootStatus,
    Status,
)

__all__ = [
    "NULL",
    "EmbeddingError",
    "Failure",
    "GenerationError",
    "GenerationStatus",
    "IndexReport",
    "Item",
    "Kind",
    "Library",
    "LibraryDamaged",
    "LibraryError",
    "LibraryLocked",
    "LibraryNotFound",
    "Model",
    "ModelMismatch",
    "Neighbours",
    "NewerLibrary",
    "NullProgress",
    "Progress",
    "RootStatus",
    "RootUnavailable",
    "SourceNotFound",
    "Status",
    "UnsupportedFile",
    "find_library",
]
