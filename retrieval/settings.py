"""Defaults that the command line and the Python API share."""

DEFAULT_MODEL = "kakaobrain/align-base"
DEFAULT_K = 10
LIBRARY_VARIABLE = "ALIGN_LIBRARY"
MODEL_VARIABLE = "ALIGN_MODEL"
DEVICE_VARIABLE = "ALIGN_DEVICE"
