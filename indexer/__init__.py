"""Vectors, rows and files on disk: a library of embedded pictures and texts."""

from indexer.curve import Curve, Point
from indexer.errors import (
    AnnotationError,
    EmbeddingError,
    GenerationError,
    LibraryDamaged,
    LibraryError,
    LibraryLocked,
    LibraryNotFound,
    ModelMismatch,
    NewerLibrary,
    RootsOverlap,
    SourceExcluded,
    SourceNotFound,
    StorageError,
    UnknownPath,
    UnsupportedFile,
)
from indexer.filters import FieldTest, FilterError, Filters, Near
from indexer.layout import Choice
from indexer.library import Library
from indexer.places import find_library
from indexer.progress import NULL, NullProgress, Progress
from indexer.queries import bundled_phrases
from indexer.records import (
    AnnotationReport,
    Failure,
    Finding,
    Forgotten,
    GenerationStatus,
    IndexReport,
    Item,
    Kind,
    Model,
    Neighbours,
    Repair,
    RootStatus,
    Status,
)
from indexer.texts import is_unicode, read_text_file
from indexer.trial import TrialIndex, trial_index

__all__ = [
    "NULL",
    "AnnotationError",
    "AnnotationReport",
    "Choice",
    "Curve",
    "EmbeddingError",
    "Failure",
    "FieldTest",
    "FilterError",
    "Filters",
    "Finding",
    "Forgotten",
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
    "Near",
    "Neighbours",
    "NewerLibrary",
    "NullProgress",
    "Point",
    "Progress",
    "Repair",
    "RootStatus",
    "RootsOverlap",
    "SourceExcluded",
    "SourceNotFound",
    "Status",
    "StorageError",
    "TrialIndex",
    "UnknownPath",
    "UnsupportedFile",
    "bundled_phrases",
    "find_library",
    "is_unicode",
    "read_text_file",
    "trial_index",
]
