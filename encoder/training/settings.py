"""How a model is trained, and what is said of every step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from encoder.errors import EncoderError

Tower = Literal["image", "text"]


@dataclass(frozen=True)
class TrainingSettings:
    """With the data and the weights that training starts from, all that decides the result."""

    steps: int = 4000
    batch_size: int = 128
    """Pictures a step, over all processes: each is told from all others."""
    micro_batch: int | None = None
    """Pictures that go through the towers at once in one process; it divides the batch. None: its
    whole share of the batch."""
    learning_rate: float = 1e-3
    """The highest, reached after `warmup` steps, then a cosine down to 1 % of it."""
    image_learning_rate: float | None = None
    """Of the picture tower, if not the same."""
    text_learning_rate: float | None = None
    warmup: int = 200
    paraphrase_steps: int = 0
    """How many of the steps, the first ones, train the text tower alone: two captions of one
    picture are a pair. New towers learn each other's noise at first; this gives the picture tower
    something to follow."""
    freeze: Tower | None = None
    """The tower that stays as it is, its batch norms and dropout in evaluation mode."""
    weight_decay: float = 0.05
    """On matrices and filters; never on norms, biases and the temperature."""
    max_gradient_norm: float = 1.0
    ema: float = 0.0
    """Share that a running mean of the weights keeps at each step, less in the first steps:
    min(ema, (1 + step) / (10 + step)). The mean is what is evaluated and stored. 0: no mean."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the towers; the loss, weights and optimizer stay float32."""
    stored_as: Literal["float32", "float16"] = "float32"
    """Of the weights in the checkpoint."""
    seed: int = 0
    save_every: int = 200
    """Steps between training states, each with its evaluation."""

    def __post_init__(self) -> None:
        if self.freeze == "text" and self.paraphrase_steps:
            raise EncoderError("paraphrase steps train the text tower: it cannot be frozen too")

    def parts(self, processes: int) -> int:
        """Micro-batches that each of `processes` works through a step. EncoderError where the
        batch cannot be divided evenly."""
        share, rest = divmod(self.batch_size, processes)
        parts, left = divmod(share, self.micro_batch or share) if share else (0, 1)
        if rest or left:
            at_once = f" of {self.micro_batch} pictures at once" if self.micro_batch else ""
            raise EncoderError(
                f"a batch of {self.batch_size} cannot be divided evenly among {processes}"
                f" process{'es' if processes > 1 else ''}{at_once}: give other sizes as"
                " --batch-size and --micro-batch"
            )
        return parts


@dataclass(frozen=True)
class Step:
    """One step as reported and logged."""

    step: int
    """1-based."""
    loss: float
    learning_rate: float
    """Without a tower's own."""
    temperature: float
    images_per_second: float
    recall: Mapping[str, float] | None = None
    """What `evaluate` returned, at the steps that are saved."""
    best: bool = False
    """Whether that is the highest rsum so far."""
