"""Pictures without files, in a module that decoder processes can import."""

import hashlib
from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True)
class Patch:
    """A picture of one colour, without a file."""

    name: str
    colour: tuple[int, int, int]

    def exists(self) -> bool:
        return True

    def stamp(self) -> str:
        return self.name

    def digest(self) -> bytes:
        return hashlib.sha256(bytes(self.colour)).digest()

    def open(self) -> Image.Image:
        return Image.new("RGB", (4, 4), self.colour)


class Forbidden(Patch):
    """A picture that may not be read."""

    def digest(self) -> bytes:
        raise PermissionError(13, "Permission denied", "/somewhere/else")
