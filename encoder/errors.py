"""Everything the project raises on purpose.

AlignError                     the root: one clear sentence that names the remedy
├── EncoderError
│   ├── CheckpointError        a checkpoint directory that is incomplete, foreign or damaged
│   └── HubError               a model that is neither here nor reachable
├── DatasetError               pictures with captions that cannot be read as asked
├── PictureError               bytes that are not a readable picture
│   └── PassingPictureError    a picture that could not be read for a reason that may pass
├── TextError                  bytes that are not a readable text file
├── FilterError                (defined in `indexer.search.filters`)
└── LibraryError               (defined in `indexer.errors`)
"""


class AlignError(Exception):
    """The root of every error that a user is meant to read: ``str(error)`` is one sentence."""


class EncoderError(AlignError):
    """The encoder cannot be made or cannot do what is asked."""


class CheckpointError(EncoderError):
    """A checkpoint directory is incomplete, of another architecture, or damaged."""


class HubError(EncoderError):
    """A model is not on this machine and could not be fetched."""


class DatasetError(AlignError):
    """Annotations, pictures or a split of a dataset are not what was asked for."""


class PictureError(AlignError):
    """Bytes that cannot be read as a picture; the message is a plain reason."""


class PassingPictureError(PictureError):
    """A picture could not be read, and its bytes need not be at fault: try again later."""


class TextError(AlignError):
    """A text file that cannot be read; the message is a plain reason."""
