"""What a file holds, ready to be embedded and written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from encoder.protocol import Pixels
from indexer.records import Kind
from indexer.values import FieldValues

Key = tuple[Kind, bytes]
"""Kind and digest, which are equal for contents that share an embedding."""


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
    fields: Mapping[str, FieldValues] = field(default_factory=dict)
    """What a picture's own file says in words."""

    @property
    def key(self) -> Key:
        """Contents with the same key share an embedding."""
        return self.kind, self.digest


@dataclass(frozen=True)
class Description:
    """What the sidecars of a picture say about it."""

    caption: str | None = None
    fields: Mapping[str, FieldValues] = field(default_factory=dict)
    taken_at: datetime | None = None
    """When it was taken; used, as `place` is, only if the picture's own metadata does not say."""
    place: tuple[float, float] | None = None
    """Degrees, north in [-90, 90] and east in [-180, 180]."""
