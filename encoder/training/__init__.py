"""Training: the ALIGN loss, the loop, and the drawn data that align-mini is made from."""

from encoder.training.data import PairData, SceneData
from encoder.training.loop import Step, TrainingSettings, train
from encoder.training.scenes import mini_config, train_scenes
from encoder.training.vocabulary import train_tokenizer

__all__ = [
    "PairData",
    "SceneData",
    "Step",
    "TrainingSettings",
    "mini_config",
    "train",
    "train_scenes",
    "train_tokenizer",
]
