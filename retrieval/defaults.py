"""Defaults that the command line and the Python API share."""

DEFAULT_MODEL = "kakaobrain/align-base"
DEFAULT_K = 10
TEMPLATE = "a photo of a {}"
"""A label takes the place of ``{}``, so that it reads like a caption."""
CONFIDENCE = 0.5
"""A picture is tagged with a label if the label has at least this probability."""
NEAR_DUPLICATE = 0.97
"""Two pictures are near-duplicates if the cosine of their embeddings is at least this, unless the
model says another value. A smaller or recompressed copy should stay above it, another picture of
the same subject below."""
LIBRARY_VARIABLE = "ALIGN_LIBRARY"
MODEL_VARIABLE = "ALIGN_MODEL"
DEVICE_VARIABLE = "ALIGN_DEVICE"
