"""The command line; `main` is the console script `align`."""

import sys

try:
    import encoder  # noqa: F401 - before anything that may fail where the system lacks something
    from retrieval.cli.commands import main
except ImportError as error:
    if error.name != "encoder":
        raise
    sys.exit(f"align: {error}")

__all__ = ["main"]
