"""`align status`"""

from dataclasses import asdict
from pathlib import Path

import click

from indexer import Library, Status, remedies
from retrieval.cli.names import whole
from retrieval.cli.opening import locate
from retrieval.cli.options import json_option, library_option
from retrieval.cli.output import count, generation_rows, print_json, print_rows, root_values, say


@click.command()
@json_option
@library_option
def command(as_json: bool, library: Path | None) -> None:
    """Say what a library holds: items, failures, roots, model, index and sizes."""
    with Library.open(locate(library)) as opened:
        status = opened.status()
        if as_json:
            print_json(_values(opened.path, status))
        else:
            _print(opened.path, status)
        if status.degraded:
            say(f"note: {status.degraded}")


def _values(path: Path, status: Status) -> dict[str, object]:
    roots = [root_values(root) for root in status.roots]
    return {"library": str(path), **asdict(status), "roots": roots}


def _failures(status: Status) -> str:
    again = f" ({status.passing:,} tried again at every run)" if status.passing else ""
    return f"{status.failures:,}{again}"


def _untimed(status: Status) -> str:
    return f" ({status.untimed:,} without a capture time)" if status.untimed else ""


def _print(path: Path, status: Status) -> None:
    model = status.model
    rows = [
        ("library", whole(path)),
        ("pictures", f"{status.counts['image']:,}{_untimed(status)}"),
        ("texts", f"{status.counts['text']:,}"),
        ("failures", _failures(status)),
        *(("passed over", clause) for clause in remedies(status.passed_over)),
        ("model", f"{model.name} ({model.dim} dimensions, {model.fingerprint})" if model else "-"),
        *(("root", f"{whole(root.path)} ({count(root.files, 'file')})") for root in status.roots),
        *generation_rows(status.generations),
        (
            "database",
            f"{status.database_bytes / 1e6:.1f} MB, SQLite {status.sqlite_version}"
            f" ({status.journal_mode}), FAISS {status.faiss_version}",
        ),
    ]
    print_rows(rows)
