"""Colours as sRGB has them, whatever profile a picture brings."""

import io
from functools import lru_cache

from PIL import Image, ImageCms

_PROFILE = "icc_profile"
_TRANSFORMS = 8
"""How many profiles of recent pictures are kept ready."""


def to_srgb(image: Image.Image) -> Image.Image:
    """An image in the colours of sRGB: numbers of RGB, RGBA and CMYK pixels are converted from the
    ICC profile that the image brings. Broken profiles are ignored. The result brings none."""
    profile = image.info.get(_PROFILE)
    if not isinstance(profile, bytes) or image.mode not in ("RGB", "RGBA", "CMYK"):
        return image
    transform = _transform(profile, image.mode)
    if transform is None:
        return image
    try:
        converted = ImageCms.applyTransform(image, transform)
    except ImageCms.PyCMSError:
        return image
    assert converted is not None  # it is only in place that nothing is returned
    converted.info.pop(_PROFILE, None)
    return converted


@lru_cache(_TRANSFORMS)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """None for a profile that cannot be used, and for sRGB itself."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).casefold():
            return None
        return ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), mode, "RGBA" if mode == "RGBA" else "RGB"
        )
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None
