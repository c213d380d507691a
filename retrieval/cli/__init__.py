"""The command line; `main` is the console script `align`."""

from retrieval.cli.commands import main

__all__ = ["main"]
