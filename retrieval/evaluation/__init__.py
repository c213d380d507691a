"""Recall of encoders and indexes."""

from retrieval.evaluation.metrics import ranks, recall
from retrieval.evaluation.validation import dataset_recall

__all__ = ["dataset_recall", "ranks", "recall"]
