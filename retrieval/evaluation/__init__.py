"""Recall of encoders and indexes."""

from retrieval.evaluation.evaluate import check, evaluate
from retrieval.evaluation.metrics import mean_rank, median_rank, ranks, recall
from retrieval.evaluation.report import Evaluation, Report
from retrieval.evaluation.validation import dataset_recall

__all__ = [
    "Evaluation",
    "Report",
    "check",
    "dataset_recall",
    "evaluate",
    "mean_rank",
    "median_rank",
    "ranks",
    "recall",
]
