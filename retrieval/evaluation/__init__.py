"""Recall of encoders and indexes."""

from retrieval.evaluation.metrics import ranks, recall
from retrieval.evaluation.scenes import scene_recall

__all__ = ["ranks", "recall", "scene_recall"]
