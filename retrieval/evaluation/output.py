"""An evaluation's report as a table, as our JSON, and as CLIP_benchmark's JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encoder.durable import write_whole
from retrieval.evaluation.report import Direction, IndexUsed, Published, Report, Scores

VERSION = 1
"""Version of the schema of `to_json`. It grows when a key is removed or changes its meaning."""

DIRECTIONS = {"text_to_image": "text -> image", "image_to_text": "image -> text"}
"""Each field of `Scores` and its name in reports."""

NOTHING = "-"
_CLIP_BENCHMARK_NAMES = {"coco": "mscoco_captions"}


@dataclass(frozen=True)
class Line:
    """A line of figures: its name, whether it belongs to the line above, and its cells."""

    name: str
    below: bool
    cells: tuple[str, ...]


def table(report: Report) -> str:
    """The report for a terminal: what was measured, then the figures. No newline at the end."""
    named = [f"{name + ':':<15}{value}" for name, value in facts(report)]
    grid = [["recall in %", *columns(report)]]
    grid += [["  " * line.below + line.name, *line.cells] for line in lines(report)]
    widths = [max(len(row[i]) for row in grid) for i in range(len(grid[0]))]
    figures = [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in grid
    ]
    notes = [f"note: {note}" for note in report.notes]
    return "\n".join([*named, "", *figures, "", rsum(report), *notes])


def facts(report: Report) -> list[tuple[str, str]]:
    """What was measured, as names and values."""
    rows = [
        ("dataset", f"{report.dataset}, {report.split}"),
        ("read from", report.layout),
        ("size", f"{report.images:,} images, {report.captions:,} captions"),
        ("captions", "the first 5 of an image" if report.caption_rule == "first5" else "all"),
        ("folds", f"{report.folds}, figures are means" if report.folds > 1 else "1"),
        ("model", report.model),
        ("fingerprint", report.fingerprint),
        ("revision", report.revision or "none (a local or bundled model)"),
        ("preprocessing", report.preprocessing),
        ("computed", report.computed),
        ("versions", ", ".join(f"{name} {number}" for name, number in report.versions.items())),
        ("index", "exact" if report.index is None else f"exact, and {_index(report.index)}"),
    ]
    if report.published:
        rows.append(("published", report.published.source))
    return [*rows, ("took", f"{report.seconds:.1f} s")]


def columns(report: Report) -> list[str]:
    """The heads of the columns of `lines`."""
    ks = report.exact.text_to_image.recall
    return [*(f"R@{k}" for k in ks), "median rank", "mean rank", "ms/query"]


def lines(report: Report) -> list[Line]:
    """The exact recall of both directions. Below it stand the recall through the index and the
    published recall, if there are any, each with its difference from the exact recall in points."""
    found = []
    for field, name in DIRECTIONS.items():
        exact: Direction = getattr(report.exact, field)
        found.append(Line(name, False, _cells(exact)))
        if report.index and report.approximate:
            through: Direction = getattr(report.approximate, field)
            found.append(Line(f"through {report.index.kind}", True, _cells(through)))
            change = [f"{100 * (through.recall[k] - exact.recall[k]):+.2f}" for k in exact.recall]
            ratio = through.milliseconds / exact.milliseconds if exact.milliseconds else None
            times = NOTHING if ratio is None else f"{ratio:.2f}x"
            found.append(Line("difference", True, (*change, NOTHING, NOTHING, times)))
        if report.published:
            row: Mapping[int, float] = getattr(report.published, field)
            # Published figures have one decimal: a space keeps the decimal points in line.
            said = [f"{row[k]:.1f} " if k in row else NOTHING for k in exact.recall]
            change = [
                f"{100 * exact.recall[k] - row[k]:+.2f}" if k in row else NOTHING
                for k in exact.recall
            ]
            found.append(Line("published", True, (*said, *[NOTHING] * 3)))
            found.append(Line("difference", True, (*change, *[NOTHING] * 3)))
    return found


def rsum(report: Report) -> str:
    """A line of text with the sum of the recalls, exact and through the index."""
    exact = report.exact.rsum
    ks = "/".join(str(k) for k in report.exact.text_to_image.recall)
    said = f"rsum: {exact:.2f} (R@{ks}, both directions)"
    if report.index and report.approximate:
        through = report.approximate.rsum
        said += f"; through {report.index.kind} {through:.2f} ({through - exact:+.2f})"
    return said


def to_json(report: Report) -> dict[str, Any]:
    """The report in our own schema, which docs/evaluation.md describes. Recalls are in [0, 1]."""
    return {
        "schema": "align-evaluation",
        "version": VERSION,
        "dataset": report.dataset,
        "split": report.split,
        "layout": report.layout,
        "images": report.images,
        "captions": report.captions,
        "caption_rule": report.caption_rule,
        "folds": report.folds,
        "model": report.model,
        "fingerprint": report.fingerprint,
        "revision": report.revision,
        "preprocessing": report.preprocessing,
        "computed": report.computed,
        "versions": dict(report.versions),
        "exact": _scores(report.exact),
        "index": None if report.index is None else _index_json(report.index),
        "approximate": None if report.approximate is None else _scores(report.approximate),
        "published": None if report.published is None else _published_json(report.published),
        "notes": list(report.notes),
        "seconds": report.seconds,
    }


def to_clip_benchmark(report: Report) -> dict[str, Any]:
    """The exact recalls as CLIP_benchmark (LAION-AI/CLIP_benchmark, `cli.py`) writes them.

    CLIP_benchmark says *image retrieval* when texts find images. COCO gets its CLIP_benchmark name.
    """
    metrics = {}
    for k, value in report.exact.text_to_image.recall.items():
        metrics[f"image_retrieval_recall@{k}"] = value
        metrics[f"text_retrieval_recall@{k}"] = report.exact.image_to_text.recall[k]
    return {
        "dataset": _CLIP_BENCHMARK_NAMES.get(report.dataset, report.dataset),
        "model": report.model,
        "pretrained": report.revision or report.fingerprint,
        "task": "zeroshot_retrieval",
        "metrics": metrics,
        "language": "en",
    }


def _cells(direction: Direction) -> tuple[str, ...]:
    ranks = (direction.median_rank, direction.mean_rank)
    return (
        *(f"{100 * value:.2f}" for value in direction.recall.values()),
        *(NOTHING if rank is None else f"{rank:,.1f}" for rank in ranks),
        f"{direction.milliseconds:.3f}",
    )


def _index(index: IndexUsed) -> str:
    def side(lists: tuple[int, int] | None) -> str:
        return "flat" if lists is None else f"{lists[0]:,} lists, {lists[1]:,} searched"

    if index.image_lists is None and index.text_lists is None:
        return index.kind
    return f"{index.kind} (images: {side(index.image_lists)}; texts: {side(index.text_lists)})"


def _index_json(index: IndexUsed) -> dict[str, Any]:
    def side(lists: tuple[int, int] | None) -> dict[str, int] | None:
        return None if lists is None else {"nlist": lists[0], "nprobe": lists[1]}

    return {
        "kind": index.kind,
        "image_lists": side(index.image_lists),
        "text_lists": side(index.text_lists),
    }


def _published_json(published: Published) -> dict[str, Any]:
    def shares(percents: Mapping[int, float]) -> dict[str, float]:
        return {str(k): round(value / 100, 6) for k, value in percents.items()}

    sides = {field: shares(getattr(published, field)) for field in DIRECTIONS}
    return {"source": published.source, **sides}


def _scores(scores: Scores) -> dict[str, Any]:
    def side(direction: Direction) -> dict[str, Any]:
        return {
            "recall": {str(k): value for k, value in direction.recall.items()},
            "median_rank": direction.median_rank,
            "mean_rank": direction.mean_rank,
            "milliseconds": direction.milliseconds,
        }

    sides = {field: side(getattr(scores, field)) for field in DIRECTIONS}
    return {**sides, "rsum": scores.rsum}


def write_report(path: Path, text: str) -> None:
    """Write `text` to the file `path`, whole or not at all.

    If `path` is a link, its target is written. If it is a pipe or a device, the text is written to
    it. File names need not be UTF-8: what UTF-8 cannot encode becomes a question mark. Raises an
    OSError that names the file if it cannot be written.
    """
    path = path.resolve()
    data = text.encode("utf-8", errors="replace")
    if path.exists() and not path.is_file():  # a pipe or a device
        try:
            path.write_bytes(data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        return
    with write_whole(path) as file:
        file.write(data)
