"""Stand-in."""

from dataclasses import asdict
from typing import Any

from retrieval.evaluation.report import Report


def table(report: Report) -> str:
    """One line."""
    return f"{report.dataset} {report.split}: rsum {report.exact.rsum:.1f}"


def to_json(report: Report) -> dict[str, Any]:
    """All fields."""
    return asdict(report)


def to_clip_benchmark(report: Report) -> dict[str, Any]:
    """The name alone."""
    return {"dataset": report.dataset}
