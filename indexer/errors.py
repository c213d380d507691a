"""Everything a library raises on purpose.

AlignError                       (encoder.errors)
└── LibraryError                 the root: one clear sentence that names the remedy
    ├── LibraryNotFound          no library where one was asked for
    ├── LibraryClosed            a library that was used after it was closed
    ├── LibraryDamaged           a library.db that SQLite cannot read
    ├── UntrustedLibrary         a library of another user that was not named or trusted
    ├── NewerLibrary             written by a later version of the program
    ├── LibraryLocked            another process is writing
    ├── SourceNotFound           a path to index that does not exist or cannot be read
    ├── SourceExcluded           a path to index that its root leaves out
    ├── UnsupportedFile          a file named for indexing that is neither pictures nor texts
    ├── UnknownPath              a path to forget or relocate that the library does not know
    ├── FieldUnknown             a field to forget that nobody annotated
    ├── RootsOverlap             a new place of a root that another root watches
    ├── AnnotationError          a table of annotations that cannot be read
    ├── ModelMismatch            an encoder other than the one the library was made with
    ├── EmbeddingError           vectors that no library may keep or search with
    ├── StorageError             a disk that is full, fails or may not be written
    └── GenerationError          a generation that could not be written
"""

from encoder.errors import AlignError


class LibraryError(AlignError):
    """The library cannot be made, opened, searched or written."""


class LibraryNotFound(LibraryError):
    """There is no library where one was asked for."""


class LibraryClosed(LibraryError):
    """The library was closed, and is used again."""


class LibraryDamaged(LibraryError):
    """The database file is not one, or SQLite cannot read it."""


class UntrustedLibrary(LibraryError):
    """The library belongs to another user, and was neither named nor trusted."""


class NewerLibrary(LibraryError):
    """The library's schema is newer than this version of the program."""


class LibraryLocked(LibraryError):
    """Another writer holds the library; the sentence names its process id."""


class SourceNotFound(LibraryError):
    """A path to index, or a new place of a root, does not exist or cannot be read."""


class SourceExcluded(LibraryError):
    """A path to index is one that its root leaves out."""


class UnsupportedFile(LibraryError):
    """A file named for indexing is neither a picture nor a file of texts by its ending."""


class UnknownPath(LibraryError):
    """A path to forget or to relocate is none that the library knows."""


class FieldUnknown(LibraryError):
    """Nobody annotated a field with this name."""


class RootsOverlap(LibraryError):
    """The new place of a root lies in another root or around it."""


class AnnotationError(LibraryError):
    """A table of annotations cannot be read, or does not say what it speaks of."""


class ModelMismatch(LibraryError):
    """The encoder's fingerprint is not the library's: their vectors must never meet."""


class EmbeddingError(LibraryError):
    """Vectors of the wrong shape, not finite, or not of unit length."""


class StorageError(LibraryError):
    """The disk is full, fails or may not be written; what was committed is safe."""


class GenerationError(LibraryError):
    """A generation could not be written; the items themselves are safe in the database."""
