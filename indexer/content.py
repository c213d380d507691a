"""What is in a file, ready to be embedded and written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from encoder.protocol import Pixels
from indexer.records import FieldValue, Kind

Key = tuple[Kind, bytes]
"""Kind and digest: equal for contents that share an embedding."""


@dataclass(frozen=True)
class Content:
    """One picture or one text."""

    kind: Kind
    digest: bytes
    """SHA-256 of the picture's bytes, or of the text in UTF-8."""
    pixels: Pixels | None = None
    """As the encoder prepared them; None for a text."""
    text: str | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    taken_at: datetime | None = None
    camera: str | None = None
    lens: str | None = None
    latitude: float | None = None
    longitude: float | None = None

    @property
    def key(self) -> Key:
        """Which embedding it shares."""
        return self.kind, self.digest


@dataclass(frozen=True)
class Said:
    """What the sidecars of a picture say."""

    caption: str | None = None
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    taken_at: datetime | None = None
    """For a picture that does not say it itself; so is `place`."""
    place: tuple[float, float] | None = None
    """Degrees, north in [-90, 90] and east in [-180, 180]."""
