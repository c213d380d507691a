"""All that a library knows of one item."""

from dataclasses import dataclass
from typing import Any

from PIL import Image

from encoder.pictures.metadata import metadata_sources
from encoder.pictures.picture import opened
from indexer import Item, Library, Said
from retrieval.results import json_values


@dataclass(frozen=True)
class Portrait:
    """An item, and what is said and known around it."""

    item: Item
    sources: dict[str, str]
    """Where ``taken_at`` and ``place`` come from: a tag of EXIF, a property of XMP, a sidecar."""
    said: tuple[Said, ...]
    """Fields, and who says them."""
    copies: tuple[Item, ...]
    """The other items with the same bytes."""
    neighbours: tuple[tuple[Item, float], ...]
    """The most similar pictures and their cosines, best first."""

    def to_dict(self) -> dict[str, Any]:
        """The portrait as JSON values."""
        return json_values(
            {
                **vars(self.item),
                "digest": self.item.digest.hex(),
                "sources": self.sources,
                "said": [vars(said) for said in self.said],
                "copies": [other.path for other in self.copies],
                "neighbours": [
                    {"id": other.id, "score": score, "path": other.path}
                    for other, score in self.neighbours
                ],
            }
        )


def portrait(library: Library, item: Item, k: int = 3) -> Portrait:
    """All that is known of `item`, with its `k` nearest neighbours. No model is loaded."""
    same = library.equals(item)
    neighbours: list[tuple[Item, float]] = []
    row = library.embeddings([item.id])
    if k and row.any():
        found = library.search(
            row[0], k, kind=item.kind, exclude=frozenset({item.id, *(other.id for other in same)})
        )
        neighbours = list(zip(found.items, map(float, found.scores), strict=True))
    return Portrait(
        item, _sources(item), tuple(library.said(item.id)), tuple(same), tuple(neighbours)
    )


def _sources(item: Item) -> dict[str, str]:
    """Looked up in the file again, as it is now."""
    if item.kind != "image":
        return {}
    own: dict[str, str] = {}
    try:
        with opened(item.path) as image:
            own = metadata_sources(image)
    except (OSError, ValueError, Image.DecompressionBombError):
        own = dict.fromkeys(("taken_at", "place"), "its file, which cannot be read now")
    known = {"taken_at": item.taken_at, "place": item.latitude}
    return {name: own.get(name, "a sidecar") for name, value in known.items() if value is not None}
