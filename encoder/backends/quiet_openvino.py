"""The package openvino without its telemetry.

By itself it reports each import to its makers over the network and makes a folder for that in the
user's home (`openvino_telemetry`, which its own code can do without).
"""

import sys

_REPORTS = "openvino_telemetry"

if _REPORTS in sys.modules:
    import openvino
else:
    sys.modules[_REPORTS] = None  # type: ignore[assignment]  # None makes Python refuse the import
    try:
        import openvino
    finally:
        del sys.modules[_REPORTS]

__all__ = ["openvino"]
