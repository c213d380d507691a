"""Everything a library raises on purpose.

AlignError                       (encoder.errors)
└── LibraryError                 the root: one clear sentence that names the remedy
    ├── LibraryNotFound          no library where one was asked for
    ├── LibraryDamaged           a library.db that SQLite cannot read
    ├── NewerLibrary             written by a later version of the program
    ├── LibraryLocked            another process is writing
    ├── RootUnavailable          a watched folder that is missing, unreadable or suddenly empty
    ├── SourceNotFound           a path to index that does not exist
    ├── UnsupportedFile          a file named for indexing that is neither pictures nor texts
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


class LibraryDamaged(LibraryError):
    """The database file is not one, or SQLite cannot read it."""


class NewerLibrary(LibraryError):
    """The library's schema is newer than this version of the program."""


class LibraryLocked(LibraryError):
    """Another writer holds the library; the sentence names its process id."""


class RootUnavailable(LibraryError):
    """A watched folder is missing, unreadable or suddenly empty; nothing was deleted."""


class SourceNotFound(LibraryError):
    """A path to index does not exist."""


class UnsupportedFile(LibraryError):
    """A file named for indexing is neither a picture nor a file of texts by its ending."""


class ModelMismatch(LibraryError):
    """The encoder's fingerprint is not the library's: their vectors must never meet."""


class EmbeddingError(LibraryError):
    """Vectors of the wrong shape, not finite, or not of unit length."""


class StorageError(LibraryError):
    """The disk is full, fails or may not be written; what was committed is safe."""


class GenerationError(LibraryError):
    """A generation could not be written; the items themselves are safe in the database."""
