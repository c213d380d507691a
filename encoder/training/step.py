"""One training step on a batch of any size: the ALIGN loss with gradient caching.

The loss compares every text of the batch with every picture, so gradients cannot simply be summed
over parts. Gradient caching (Gao et al. 2021, arXiv 2101.06983, section 3) first embeds all parts
without keeping what gradients need, then computes the loss and its gradient by the embeddings, and
then embeds each part again to carry that gradient back into the towers. It takes the memory of one
part. Batch norms, which couple the pictures of a part, see each part alone: their gradients and
statistics are those of micro-batches.
"""

import copy
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from encoder.errors import EncoderError
from encoder.model.align import AlignModel, contrastive_loss
from encoder.model.efficientnet import DropBranch
from encoder.preprocess import Preprocessor
from encoder.protocol import Pixels
from encoder.training.batches import Part, Tokens
from encoder.training.data import Maps, States
from encoder.training.distributed import World
from encoder.training.fitting import Classes
from encoder.training.optimizer import make_optimizer, schedule, set_learning_rate
from encoder.training.settings import Frozen, Tower, TrainingSettings, still_stages

MIN_TEMPERATURE = 0.01
"""Logits above 100 times the cosine make training unstable (arXiv 2103.00020, section 2.5)."""

TEXTS_AT_ONCE = 32

Side = tuple[Tensor, ...]
"""The input of one tower: texts (ids, mask) or (states,), or pictures (floats,) or (maps,)."""


class Towers(nn.Module):
    """Both towers of a model, without its temperature; processes share their gradients."""

    def __init__(self, model: AlignModel, done: int = 0) -> None:
        """`done`: the stages of the picture tower that the pictures have passed already."""
        super().__init__()
        self.done = done
        self.text_model, self.text_projection = model.text_model, model.text_projection
        self.vision_model = model.vision_model

    def forward(self, sides: Sequence[Side]) -> list[Tensor]:
        """(b, e) features of each side, not normalised, in the precision of the weights."""
        return [self._features(side).to(self.text_projection.weight.dtype) for side in sides]

    def _features(self, side: Side) -> Tensor:
        if len(side) == 1:
            if side[0].ndim == 2:
                return cast(Tensor, self.text_projection(side[0]))
            if self.done:
                return self.vision_model.after_stages(side[0], self.done)
            return cast(Tensor, self.vision_model(side[0]))
        return cast(Tensor, self.text_projection(self._first_tokens(*side)))

    def _first_tokens(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The last hidden states of [CLS]. Texts of like length go through the tower together, so
        that there is little padding."""
        lengths, order = mask.sum(1).sort()
        groups, ends = (torch.split(of, TEXTS_AT_ONCE) for of in (order, lengths))
        states = [
            self.text_model(ids[some, : end[-1]], mask[some, : end[-1]])[:, 0]
            for some, end in zip(groups, ends, strict=True)
        ]
        return torch.cat(states)[order.argsort()]


class Trainer:
    """A model in training, its optimizer and the running mean of its weights."""

    def __init__(
        self,
        model: AlignModel,
        preprocessor: Preprocessor,
        settings: TrainingSettings,
        world: World,
        classes: Classes | None = None,
    ) -> None:
        """`classes`: see `TrainingSettings.class_weight`; then `read_names` comes before the first
        step."""
        self.model = model
        self._classes, self._names = classes, torch.empty(0)
        self.mean = copy.deepcopy(model) if settings.ema else None
        self._preprocessor, self._settings, self._world = preprocessor, settings, world
        towers: dict[Frozen | None, list[nn.Module]] = {
            None: [],
            "image": [model.vision_model],
            "text": [model.text_model, model.text_projection],
            "towers": [model.text_model],
        }
        stages = len(model.config.vision_config.num_block_repeats)
        still = still_stages(settings.freeze, settings.frozen_stages, stages)
        frozen = [*towers[settings.freeze], *model.vision_model.first_stages(still)]
        for part in frozen:
            part.requires_grad_(False)
        self.optimizer = make_optimizer(model, settings)
        norms = [m for m in model.vision_model.modules() if isinstance(m, nn.BatchNorm2d)]
        self._still = [*frozen, *(norms if settings.frozen_norms else [])]
        """Modules that are in evaluation mode while the others train."""
        unmoved = {module for part in self._still for module in part.modules()}
        for module in model.vision_model.modules():
            if isinstance(module, DropBranch):
                module.elementwise = settings.elementwise_dropout
        if settings.head_dropout:
            for block in model.vision_model.last_stage():
                block.squeeze_excite.register_forward_hook(self._drop_channels)
        self._statistics = [
            cast(Tensor, buffer)
            for norm in norms
            if norm not in unmoved
            for buffer in (norm.running_mean, norm.running_var)
        ]
        self._towers = Towers(model, still if settings.kept_views else 0)
        self._shared: DistributedDataParallel | None = None
        if world.size > 1:
            self._shared = DistributedDataParallel(
                self._towers,
                forward_sync_buffers=False,  # `step` averages the buffers
                find_unused_parameters=settings.paraphrase_steps > 0,
            )

    @property
    def weights(self) -> AlignModel:
        """The model that is evaluated and stored."""
        return self.mean or self.model

    def step(self, number: int, parts: Sequence[Part]) -> float:
        """Train on this process's parts of batch `number`, which counts from 0. Returns the loss of
        the weights before the step, over all processes. EncoderError if it is not finite."""
        self.model.train()
        for module in self._still:
            module.eval()
        self.optimizer.zero_grad()
        before = [buffer.clone() for buffer in self._statistics]
        cached = len(parts) > 1
        with torch.set_grad_enabled(not cached):
            embedded = [self._embed(number, part, (0, 1)) for part in parts]
        sides = [torch.cat(side) for side in zip(*embedded, strict=True)]
        loss, gradients = self._loss(sides, self._told(parts))
        self._check("loss", number, loss)
        if cached:
            self._again(number, parts, gradients, before)
        else:
            _backward(embedded[0], gradients)
        self._world.average(self._statistics)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self._settings.max_gradient_norm)
        self._check("gradient", number, float(norm))
        set_learning_rate(self.optimizer, schedule(number, self._settings))
        self.optimizer.step()
        with torch.no_grad():
            self.model.temperature.clamp_(min=MIN_TEMPERATURE)
        self._follow(number)
        return loss

    def check_weights(self, number: int) -> None:
        """EncoderError if the weights after step `number`, which counts from 0, are not finite."""
        for tensor in self.weights.state_dict().values():
            self._check("sum of weights", number, float(tensor.double().sum()))

    @staticmethod
    def _check(what: str, number: int, value: float) -> None:
        if not math.isfinite(value):
            raise EncoderError(
                f"the {what} of step {number + 1} is {value}: training has diverged; start again"
                " with a lower --learning-rate or a longer --warmup"
            )

    def _drop_channels(self, gate: nn.Module, given: object, channels: Tensor) -> Tensor:
        return F.dropout2d(channels, self._settings.head_dropout, training=gate.training)

    def read_names(self, names: Tokens) -> None:
        """Embed the names of the classes with the weights as they are; until the next call they
        stay what pictures are compared with."""
        self.model.eval()
        device = self.model.temperature.device
        with torch.no_grad():
            side = tuple(torch.from_numpy(x).to(device) for x in names)
            self._names = F.normalize(self._towers([side])[0], dim=-1)

    def _told(self, parts: Sequence[Part]) -> Tensor | None:
        """What the classifier says of the batch's pictures of the first data, all processes."""
        if self._classes is None or _tower(parts[0], 1) == "text":
            return None
        indices = [index for part in parts for index in part.indices]
        mine = torch.from_numpy(self._classes.probabilities[indices])
        return self._world.gather(mine.to(self.model.temperature.device))

    def _loss(self, mine: Sequence[Tensor], told: Tensor | None) -> tuple[float, list[Tensor]]:
        """The loss over the features of all processes, and its gradient by each side of this
        process. `told` are the probabilities of classes for the pictures of the first data. The
        gradient is multiplied by the number of processes, because DistributedDataParallel takes a
        mean."""
        every = [self._world.gather(side.detach()).requires_grad_() for side in mine]
        texts, others = (F.normalize(side, dim=-1) for side in every)
        sources = torch.tensor(self._settings.sources(), device=texts.device)
        loss = texts.new_zeros(())
        count = self._settings.captions
        for source, weight in ((0, 1.0 / count), (1, self._settings.labelled_weight / count)):
            some = sources == source
            if some.any():
                for captions in texts.view(len(others), count, -1).unbind(1):
                    logits = captions[some] @ others[some].T / self.model.temperature
                    loss = loss + weight * contrastive_loss(logits)
        if told is not None:
            logits = others[sources == 0] @ self._names.T / self.model.temperature
            loss = loss + self._settings.class_weight * F.cross_entropy(logits, told.to(logits))
        torch.autograd.backward(loss)
        # equal in all processes except for rounding, which must not make them drift apart
        self._world.average([cast(Tensor, self.model.temperature.grad)])
        return float(loss.detach()), [
            self._world.size * cast(Tensor, side.grad).chunk(self._world.size)[self._world.rank]
            for side in every
        ]

    def _again(
        self,
        number: int,
        parts: Sequence[Part],
        gradients: Sequence[Tensor],
        before: Sequence[Tensor],
    ) -> None:
        """The second pass of gradient caching. Each part alone would change the running statistics
        of the norms; they become the mean of these results."""
        live = [i for i in (0, 1) if self._settings.freeze != _tower(parts[0], i)]
        sums = [torch.zeros_like(buffer) for buffer in before]
        pieces = zip(*(gradients[i].chunk(len(parts)) for i in live), strict=True)
        for part, piece in zip(parts, pieces, strict=True):
            _copy(before, self._statistics)
            with self._sharing(part is parts[-1]):
                _backward(self._embed(number, part, live), piece)
            for total, buffer in zip(sums, self._statistics, strict=True):
                total += buffer
        if _tower(parts[0], 1) == "image":
            _copy([total / len(parts) for total in sums], self._statistics)

    def _embed(self, number: int, part: Part, sides: Sequence[int]) -> list[Tensor]:
        """Features of some sides of a part: 0 is its texts, 1 its pictures or other texts. Dropout
        is the same each time the same part of the same step is embedded."""
        device = self.model.temperature.device
        both = part.texts, part.others
        chosen: list[tuple[npt.NDArray[Any], ...]] = [
            side if isinstance(side, tuple) else (self._floats(side),)
            for side in (both[i] for i in sides)
        ]
        inputs = [tuple(torch.from_numpy(x).to(device) for x in side) for side in chosen]
        seed = np.random.SeedSequence((self._settings.seed, number, part.number))
        torch.manual_seed(int(seed.generate_state(1, np.uint64)[0]))
        half = self._settings.precision == "bfloat16"
        towers = self._shared if self._shared and torch.is_grad_enabled() else self._towers
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            return cast(list[Tensor], towers(inputs))

    def _floats(self, kept: Pixels | Maps | States) -> npt.NDArray[np.float32]:
        """Pictures or maps as (b, c, h, w), channels-last in memory; states as they are."""
        if kept.dtype == np.uint8:
            return self._preprocessor.to_floats(cast(Pixels, kept))
        floats = kept.astype(np.float32)
        return floats if floats.ndim == 2 else floats.transpose(0, 3, 1, 2)

    def _sharing(self, last: bool) -> AbstractContextManager[None]:
        """Sum gradients over processes only in the backward pass of the last part."""
        wait = self._shared is not None and not last
        return cast(DistributedDataParallel, self._shared).no_sync() if wait else nullcontext()

    def _follow(self, number: int) -> None:
        if self.mean is None:
            return
        kept = min(self._settings.ema, (1 + number) / (10 + number))
        new = self.model.state_dict()
        for name, tensor in self.mean.state_dict().items():
            if tensor.is_floating_point():
                tensor.lerp_(new[name], 1 - kept)


def _tower(part: Part, side: int) -> Tower:
    return "image" if side == 1 and not isinstance(part.others, tuple) else "text"


def _backward(features: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
    live = [(f, g) for f, g in zip(features, gradients, strict=True) if f.requires_grad]
    torch.autograd.backward([f for f, _ in live], [g for _, g in live])


def _copy(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)
