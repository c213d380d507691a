"""Vectors, rows and files on disk: a library of embedded pictures and texts."""

from indexer.curve import Curve, Point
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
    StorageError,
    UnsupportedFile,
)
from indexer.layout import Choice
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
from indexer.texts import read_text_file

__all__ = [
    "NULL",
    "Choice",
    "Curve",
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
    "Point",
    "Progress",
    "RootStatus",
    "RootUnavailable",
    "SourceNotFound",
    "Status",
    "StorageError",
    "UnsupportedFile",
    "find_library",
    "read_text_file",
]
