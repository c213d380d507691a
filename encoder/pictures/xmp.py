"""What XMP says about a picture, within the picture's file or in a file beside it.

Names and forms are those of Adobe's XMP specification (parts 1 and 2).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree

from encoder.pictures.stamps import parse_position, parse_time

_NAMES = {
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://cipa.jp/exif/1.0/": "exifEX",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://www.w3.org/1999/02/22-rdf-syntax-ns#": "rdf",
}
_TIMES = (
    "exif:DateTimeOriginal",
    "photoshop:DateCreated",
    "exif:DateTimeDigitized",
    "xmp:CreateDate",
)
_MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class Xmp:
    """The parts of an XMP packet that make sense."""

    taken_at: datetime | None = None
    time_name: str | None = None
    """The property that `taken_at` comes from; None exactly if that is."""
    latitude: float | None = None
    """Degrees; None exactly if `longitude` is."""
    longitude: float | None = None
    title: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    """Keywords (``dc:subject``), each once."""
    rating: int | None = None
    """Stars, 0 to 5, or -1 for a rejected picture."""


def read_xmp(packet: bytes) -> Xmp:
    """Everything that can be read of a packet. Raises ValueError if it is not XML, declares
    entities, or is larger than a megabyte."""
    if len(packet) > _MAX_BYTES:
        raise ValueError(f"larger than the limit of {_MAX_BYTES:,} bytes")
    packet = packet.strip(b"\0 \t\r\n")
    if b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        raise ValueError("XML with declarations, which no XMP has")
    try:
        properties = dict(_properties(ElementTree.fromstring(packet)))
    except ElementTree.ParseError as error:
        raise ValueError(f"not XML ({error})") from None
    times = ((name, parse_time(_first(properties.get(name)))) for name in _TIMES)
    name, time = next((found for found in times if found[1]), (None, None))
    latitude = parse_position(_first(properties.get("exif:GPSLatitude")), "NS")
    longitude = parse_position(_first(properties.get("exif:GPSLongitude")), "EW")
    located = latitude is not None and longitude is not None and (latitude, longitude) != (0, 0)
    return Xmp(
        taken_at=time,
        time_name=name,
        latitude=latitude if located else None,
        longitude=longitude if located else None,
        title=_first(properties.get("dc:title")),
        description=_first(properties.get("dc:description")),
        tags=tuple(dict.fromkeys(properties.get("dc:subject", ()))),
        rating=_rating(_first(properties.get("xmp:Rating"))),
    )


def _properties(root: ElementTree.Element) -> Iterator[tuple[str, list[str]]]:
    """Names, with the usual prefixes, and values of all properties: attributes and elements of the
    descriptions. Of several languages the default one comes first."""
    for description in root.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"):
        for name, value in description.attrib.items():
            if cleaned := _cleaned(value):
                yield _short(name), [cleaned]
        for element in description:
            yield _short(element.tag), _values(element)


def _values(element: ElementTree.Element) -> list[str]:
    entries = [entry for entry in element.iter() if _short(entry.tag) == "rdf:li"]
    language = "{http://www.w3.org/XML/1998/namespace}lang"
    entries.sort(key=lambda entry: entry.get(language) not in (None, "x-default"))
    texts = [entry.text for entry in entries] if entries else [element.text]
    return [text for text in map(_cleaned, texts) if text]


def _short(name: str) -> str:
    space, _, local = name.removeprefix("{").partition("}")
    return f"{_NAMES.get(space, space)}:{local}"


def _cleaned(text: str | None) -> str:
    return (text or "").replace("\0", " ").strip()


def _first(values: list[str] | None) -> str | None:
    return values[0] if values else None


def _rating(text: str | None) -> int | None:
    try:
        stars = float(text or "")
    except ValueError:
        return None
    return int(stars) if stars in (-1, 0, 1, 2, 3, 4, 5) else None
