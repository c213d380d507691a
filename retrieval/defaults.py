"""Defaults that the command line and the Python API share."""

DEFAULT_MODEL = "kakaobrain/align-base"
DEFAULT_K = 10
TEMPLATE = "a photo of a {}"
"""What a label is put into, so that it reads as a caption does."""
CONFIDENCE = 0.5
"""Probability from which on a picture is tagged with a label."""
NEAR_DUPLICATE = 0.97
"""Cosine of two embeddings from which on they are taken for near-duplicates. Recompressing or
shrinking a picture should leave it above, another picture of the same subject below; where that
line lies is the model's own, so it can be told wherever it is used."""
LIBRARY_VARIABLE = "ALIGN_LIBRARY"
MODEL_VARIABLE = "ALIGN_MODEL"
DEVICE_VARIABLE = "ALIGN_DEVICE"
