"""Pictures and an encoder that harm the process which decodes; in a module that it can import."""

import os
from dataclasses import dataclass

import numpy as np
from PIL import Image

from encoder.fake import FakeEncoder
from encoder.protocol import Pixels

HANGS, CRASHES, STARVES = 1, 2, 3
"""Widths of the pictures that harm."""


@dataclass(frozen=True)
class Deadly:
    """A picture that ends the process which opens it, as damaged bytes may do to a decoder in C."""

    name: str

    def exists(self) -> bool:
        return True

    def stamp(self) -> str:
        return ""

    def digest(self) -> bytes:
        return b""

    def open(self) -> Image.Image:
        os._exit(1)


class DeadlyEncoder(FakeEncoder):
    """Does to the process that prepares a picture what the picture's width says."""

    @staticmethod
    def prepare(picture: Image.Image) -> Pixels:
        if picture.width == HANGS:
            while True:
                pass
        if picture.width == CRASHES:
            os.abort()
        if picture.width == STARVES:
            [np.empty(10**8, np.uint8) for _ in range(40)]
        return FakeEncoder.prepare(picture)
