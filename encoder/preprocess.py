"""Pictures to tensors as ``preprocessor_config.json`` says: EfficientNet's image processor.

Equal to the reference's PIL backend. The defaults below are those of its class, which are not
align-base's: a checkpoint's own file decides.
"""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from encoder.errors import CheckpointError
from encoder.protocol import Pixels


@dataclass(frozen=True)
class Preprocessor:
    """Resize, centre crop, rescale, normalise, each as configured; sizes are (height, width)."""

    do_resize: bool = True
    size: tuple[int, int] = (346, 346)
    resample: int = Image.Resampling.BICUBIC
    do_center_crop: bool = False
    crop_size: tuple[int, int] = (289, 289)
    do_rescale: bool = True
    rescale_factor: float = 1 / 255
    rescale_offset: bool = False
    do_normalize: bool = True
    image_mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    image_std: tuple[float, ...] = (0.5, 0.5, 0.5)
    include_top: bool = True

    @classmethod
    def of(cls, directory: Path) -> Self:
        """That of a checkpoint, which version 5 of the reference keeps in
        ``processor_config.json``; CheckpointError where there is none."""
        for name in ("preprocessor_config.json", "processor_config.json"):
            if (directory / name).is_file():
                return cls.read(directory / name)
        raise CheckpointError(
            f"{directory} is not a checkpoint: it has no preprocessor_config.json"
        )

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a ``preprocessor_config.json``; CheckpointError where it is not one."""
        try:
            values: dict[str, Any] = json.loads(path.read_text("utf-8"))
            values = values.get("image_processor", values)
            names = {f.name for f in dataclasses.fields(cls)}
            known = {k: v for k, v in values.items() if k in names and v is not None}
            for name in ("size", "crop_size"):
                if name in known:
                    known[name] = _height_width(known[name])
            for name in ("image_mean", "image_std"):
                if name in known:
                    known[name] = tuple(known[name])
            if "resample" in known:
                known["resample"] = Image.Resampling(known["resample"])
            made = cls(**known)
            made.to_floats(made.prepare(Image.new("RGB", (1, 1)))[None])  # any wrong value fails
            return made
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CheckpointError(f"{path} is not a preprocessor config: {error!r}") from error

    def write(self, path: Path) -> None:
        """Write a ``preprocessor_config.json``."""
        values = dataclasses.asdict(self)
        for name in ("size", "crop_size"):
            height, width = values[name]
            values[name] = {"height": height, "width": width}
        values["resample"] = int(self.resample)
        values["image_processor_type"] = "EfficientNetImageProcessor"
        path.write_text(json.dumps(values, indent=2) + "\n", "utf-8")

    def in_words(self) -> str:
        """Such as ``346x346 bilinear, centre crop 289x289``, width first."""
        steps = []
        if self.do_resize:
            height, width = self.size
            steps.append(f"{width}x{height} {Image.Resampling(self.resample).name.lower()}")
        if self.do_center_crop:
            height, width = self.crop_size
            steps.append(f"centre crop {width}x{height}")
        return ", ".join(steps) or "as it is"

    def prepare(self, picture: Image.Image) -> Pixels:
        """Resize and crop one RGB picture; (height, width, 3) uint8. The aspect is not kept."""
        if self.do_resize:
            height, width = self.size
            picture = picture.resize((width, height), Image.Resampling(self.resample))
        pixels = np.asarray(picture, np.uint8)
        return self._center_crop(pixels) if self.do_center_crop else pixels

    def identity(self) -> dict[str, Any]:
        """The settings that have an effect."""
        crops = self.do_center_crop and not (self.do_resize and self.crop_size == self.size)
        return {
            "resize": (self.size, int(self.resample)) if self.do_resize else None,
            "crop": self.crop_size if crops else None,
            "rescale": (self.rescale_factor, self.rescale_offset) if self.do_rescale else None,
            "normalize": (self.image_mean, self.image_std) if self.do_normalize else None,
            "top": self.image_std if self.include_top else None,
        }

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """Shape of what `prepare` returns; None if that is as large as the picture."""
        if not (self.do_resize or self.do_center_crop):
            return None
        return (*(self.crop_size if self.do_center_crop else self.size), 3)

    def at_size(self, side: int) -> Self:
        """The same for square pictures of `side` pixels; a centre crop keeps its share."""
        cut = self.crop_size if self.do_center_crop else self.size
        height, width = (round(side * all / kept) for all, kept in zip(self.size, cut, strict=True))
        return dataclasses.replace(self, size=(height, width), crop_size=(side, side))

    def to_floats(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Rescale and normalise a batch (b, h, w, 3) of `prepare`d pictures to (b, 3, h, w)."""
        x = pixels.astype(np.float32)
        if self.do_rescale:
            x *= np.float32(self.rescale_factor)
            if self.rescale_offset:
                x -= 1
        if self.do_normalize:
            x -= np.array(self.image_mean, np.float32)
            x /= np.array(self.image_std, np.float32)
        if self.include_top:
            x /= np.array(self.image_std, np.float32)
        return x.transpose(0, 3, 1, 2)

    def _center_crop(self, pixels: Pixels) -> Pixels:
        height, width = self.crop_size
        if pixels.shape[0] < height or pixels.shape[1] < width:
            pixels = _pad(pixels, max(height, pixels.shape[0]), max(width, pixels.shape[1]))
        top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
        return pixels[top : top + height, left : left + width]


def _pad(pixels: Pixels, height: int, width: int) -> Pixels:
    out = np.zeros((height, width, 3), np.uint8)
    top, left = -(-(height - pixels.shape[0]) // 2), -(-(width - pixels.shape[1]) // 2)
    out[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return out


def _height_width(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    return int(value["height"]), int(value["width"])
