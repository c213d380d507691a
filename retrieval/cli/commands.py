"""The `align` command: subcommands load when they are called; an error becomes one line and a
status."""

import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from encoder.errors import AlignError
from retrieval.defaults import MODEL_VARIABLE
from retrieval.errors import QueryError

COMMANDS = {
    "index": "Add pictures and texts to a library, or bring it up to date.",
    "search": "Find pictures that match a text.",
    "similar": "Find pictures that look like a picture.",
    "captions": "Find texts that describe a picture.",
    "show": "Tell all that a library knows of a file.",
    "classify": "Say which label describes a picture best.",
    "tag": "Store the labels of pictures in the library, to filter by.",
    "roots": "List the watched folders, or say where one was moved.",
    "forget": "Forget files, folders, whole roots, or fields.",
    "annotate": "Add the columns of a table to the pictures it names.",
    "fields": "List the fields to filter by.",
    "import": "Add embeddings that another program made.",
    "export": "Write embeddings, metadata or fields for other programs.",
    "duplicates": "List copies and near-duplicates.",
    "failures": "List the files that could not be read, and why.",
    "rebuild": "Build the index again, flat or IVF.",
    "status": "Say what a library holds.",
    "libraries": "List the libraries that you have filled.",
    "trust": "Trust the library of another user.",
    "compact": "Make a library as small as it can be.",
    "backup": "Copy a library's database, also while another process writes.",
    "verify": "Look for damage in a library.",
    "repair": "Rebuild what can be rebuilt of a damaged library.",
    "model": "Check that a model computes here what it must.",
    "demo": "Index pictures, drawn or your own, and answer questions on a page.",
    "evaluate": "Measure Recall@K of a model on pictures with captions.",
    "train": "Train a model on pictures with captions.",
}
"""Name and one-line help of every command; each lives in the module `retrieval.cli.NAME`."""

WRONG_USAGE = 2
INTERRUPTED = 130
TRACEBACK_VARIABLE = "ALIGN_TRACEBACK"


class Commands(click.Group):
    """Lists commands without importing them; turns an AlignError into one line and status 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"retrieval.cli.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        logging.basicConfig(handlers=[_Messages(logging.WARNING)])
        try:
            status = super().main(args, *rest, **{**extra, "standalone_mode": False})
            sys.exit(status if isinstance(status, int) else 0)
        except AlignError as error:
            _say(f"align: {error}{_cause(error)}")
            sys.exit(1)
        except QueryError as error:
            _say(f"align: {error}")
            sys.exit(WRONG_USAGE)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            _say("align: interrupted; what was stored so far is kept")
            sys.exit(INTERRUPTED)
        except OSError as error:
            _say(f"align: {error.strerror or error}: {error.filename or 'no file named'}")
            sys.exit(1)
        except Exception as error:
            if os.environ.get(TRACEBACK_VARIABLE):
                raise
            reason = " ".join(str(error).split())
            _say(
                f"align: unexpected {type(error).__name__}: {reason}"
                f" (a bug: please report it with what {TRACEBACK_VARIABLE}=1 shows)"
            )
            sys.exit(1)


def _cause(error: AlignError) -> str:
    """That the environment names the model which an error is about."""
    named = os.environ.get(MODEL_VARIABLE)
    return f" ({MODEL_VARIABLE} is set to {named})" if named and named in str(error) else ""


def _say(line: str) -> None:
    from retrieval.cli.output import close_bars, say

    close_bars()
    say(line)


class _Messages(logging.Handler):
    """Warnings of the libraries below, as lines like all others."""

    def emit(self, record: logging.LogRecord) -> None:
        from retrieval.cli.output import say

        say(record.getMessage())


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="align-retrieval", prog_name="align")
def main() -> None:
    """Search a picture collection by meaning."""
