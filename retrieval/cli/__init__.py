"""The command line; `main` is the console script `align`."""

from retrieval.cli.group import main

__all__ = ["main"]
