"""How a model is trained, and the report of one step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from encoder.errors import EncoderError

Tower = Literal["image", "text"]
Frozen = Literal["image", "text", "towers"]


def still_stages(freeze: Frozen | None, frozen: int, stages: int) -> int:
    """How many of the picture tower's `stages` do not change, from the first on: `frozen`, or all
    but the last if `freeze` is "towers". EncoderError if there are not as many."""
    if frozen > stages:
        raise EncoderError(f"the picture tower has {stages} stages: freeze that many at most")
    return stages - 1 if freeze == "towers" else frozen


@dataclass(frozen=True)
class TrainingSettings:
    """These settings, the data and the first weights together decide the result."""

    steps: int = 4000
    batch_size: int = 128
    """Pictures in one step, over all processes; the loss compares each with all others."""
    captions: int = 1
    """So many captions are drawn for each picture of a step. The loss is the mean over them."""
    labelled: int = 0
    """How many pictures of each batch come from the second data; the loss compares these with each
    other alone."""
    labelled_weight: float = 0.5
    """How much the loss of the second data counts; that of the first counts 1."""
    class_weight: float = 0.0
    """How much it counts that pictures agree with a classifier, through the names of its
    classes."""
    micro_batch: int | None = None
    """Pictures that go through the towers at once in one process; it must divide the batch. None:
    the process's whole share of the batch."""
    learning_rate: float = 1e-3
    """The highest rate. It is reached after `warmup` steps and then falls to 1 %, as a cosine."""
    image_learning_rate: float | None = None
    """The highest rate of the picture tower; None: `learning_rate`."""
    text_learning_rate: float | None = None
    """The highest rate of the text tower; None: `learning_rate`."""
    head_learning_rate: float | None = None
    """The highest rate of the text projection and of the picture tower's last stage, which may be
    new; None: that of their towers."""
    warmup: int = 200
    paraphrase_steps: int = 0
    """The first so many steps train the text tower alone, on pairs of two captions of one picture.
    Two new towers would first learn each other's noise; this gives the picture tower something to
    follow."""
    freeze: Frozen | None = None
    """The tower that does not change; its batch norms and dropout are in evaluation mode. "towers":
    both, except for what projects them into the common space, which is the text projection and the
    picture tower's last stage."""
    frozen_stages: int = 0
    """The same for the stem and the first so many stages of the picture tower."""
    kept_views: int = 0
    """So many views of each picture were drawn once, and what the frozen stages make of them was
    kept; the data gives that. 0: the data draws a view each time."""
    frozen_norms: bool = False
    """Whether all batch norms are in evaluation mode: their statistics do not change, but their
    weights do. With few pictures at once the statistics of a batch are far from those of
    evaluation."""
    elementwise_dropout: bool = False
    """Whether the picture tower leaves out single numbers, as the reference does, and not what a
    block adds to a picture."""
    head_dropout: float = 0.0
    """The picture tower's last stage leaves out this share of its channels before each projection.
    The channels are drawn anew for each picture."""
    weight_decay: float = 0.05
    """For matrices and filters; norms, biases and the temperature have none."""
    max_gradient_norm: float = 1.0
    ema: float = 0.0
    """The share that a running mean of the weights keeps at each step; in the first steps it is
    less: min(ema, (1 + step) / (10 + step)). The mean is evaluated and stored. 0: no mean."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """The precision of the towers; loss, weights and optimizer are always float32."""
    stored_as: Literal["float32", "float16"] = "float32"
    """The type of the weights in the checkpoint."""
    stored_size: int | None = None
    """The side of pictures, in pixels, for which the checkpoint is evaluated and stored; None: that
    of training. Views are parts of pictures, so things look larger in them than in whole pictures;
    more pixels make up for that (Touvron et al. 2019, arXiv 1906.06423)."""
    seed: int = 0
    save_every: int = 200
    """Steps between two saved states; each comes with an evaluation."""

    def __post_init__(self) -> None:
        if self.freeze in ("text", "towers") and self.paraphrase_steps:
            raise EncoderError("paraphrase steps train the text tower: it cannot be frozen too")
        if self.labelled and not 2 <= self.labelled <= self.batch_size - 2:
            raise EncoderError(
                f"{self.labelled} labelled pictures in a batch of {self.batch_size}: there must be"
                " 2 at least, and 2 others"
            )
        if self.kept_views and not (self.frozen_stages or self.freeze == "towers"):
            raise EncoderError("views can be kept behind frozen stages: say how many are frozen")
        if self.freeze in ("image", "towers") and self.frozen_stages:
            raise EncoderError("the picture tower is frozen as a whole: name no stages of it")

    def sources(self) -> list[int]:
        """For each place in a batch, whether its pair comes from the first data (0) or the second
        (1). Those of the second are spread evenly, so that every process and micro-batch has its
        share."""
        size = self.batch_size
        return [(i + 1) * self.labelled // size - i * self.labelled // size for i in range(size)]

    def parts(self, processes: int) -> int:
        """The number of micro-batches of each of `processes` in a step. EncoderError if the batch
        cannot be divided evenly."""
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
    """One step, as it is reported and logged."""

    step: int
    """1-based."""
    loss: float
    learning_rate: float
    """Of parameters without a rate of their tower."""
    temperature: float
    images_per_second: float
    recall: Mapping[str, float] | None = None
    """What `evaluate` returned; None at steps that are not saved."""
    best: bool = False
    """Whether that is the highest rsum so far."""
