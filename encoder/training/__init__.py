"""Training: the ALIGN loss, the loop, and the captions that align-mini is made from."""

from encoder.training.align_mini import SceneData, scene_captions
from encoder.training.augment import Augmentation
from encoder.training.data import (
    CaptionedPictures,
    DrawnViews,
    LabelledPictures,
    PairData,
    Views,
)
from encoder.training.distributed import World, join
from encoder.training.fitting import Classes, class_probabilities, fit_projections
from encoder.training.foreign import from_towers, read_classifier
from encoder.training.kept import KeptTexts, keep_texts, keep_views, phrases
from encoder.training.loop import train
from encoder.training.settings import Step, TrainingSettings, still_stages
from encoder.training.starts import Start, from_checkpoint, from_scratch, mini_config
from encoder.training.state import alone, claim
from encoder.training.vocabulary import train_tokenizer

__all__ = [
    "Augmentation",
    "CaptionedPictures",
    "Classes",
    "DrawnViews",
    "KeptTexts",
    "LabelledPictures",
    "PairData",
    "SceneData",
    "Start",
    "Step",
    "TrainingSettings",
    "Views",
    "World",
    "alone",
    "claim",
    "class_probabilities",
    "fit_projections",
    "from_checkpoint",
    "from_scratch",
    "from_towers",
    "join",
    "keep_texts",
    "keep_views",
    "mini_config",
    "phrases",
    "read_classifier",
    "scene_captions",
    "still_stages",
    "train",
    "train_tokenizer",
]
