"""Vectors, rows and files on disk: a library of embedded pictures and texts."""

from indexer.ann.layout import SAMPLE_SEED
from indexer.ann.trial_index import TrialIndex, trial_index
from indexer.ann.tuning_queries import bundled_phrases
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
from indexer.library import Library
from indexer.locate import find_library
from indexer.metadata.texts import is_unicode, read_text_file
from indexer.progress import NULL, NullProgress, Progress
from indexer.recall_curve import Point, RecallCurve
from indexer.records import (
    AnnotationReport,
    Failure,
    Finding,
    Forgotten,
    GenerationStatus,
    IndexReport,
    Item,
    Kind,
    LayoutChoice,
    Model,
    Neighbours,
    Repair,
    RootStatus,
    Status,
)
from indexer.search.filters import FieldTest, FilterError, Filters, Near

__all__ = [
    "NULL",
    "SAMPLE_SEED",
    "AnnotationError",
    "AnnotationReport",
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
    "LayoutChoice",
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
    "RecallCurve",
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
