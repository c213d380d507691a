"""The training loop: the ALIGN loss, AdamW with warm-up and cosine, exact resume."""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from encoder.align import AlignModel, contrastive_loss
from encoder.checkpoint import load, save
from encoder.efficientnet import channels_last
from encoder.errors import EncoderError
from encoder.inference import AlignEncoder
from encoder.preprocess import Preprocessor
from encoder.tokenizer import Tokenizer
from encoder.training.data import PairData

MIN_TEMPERATURE = 0.01
"""Logits beyond 100 times the cosine make training unstable (arXiv 2103.00020, section 2.5)."""

STATE, LOG = "state.safetensors", "log.jsonl"


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained; with the data and the weights it starts from, all that decides the
    result."""

    steps: int = 4000
    batch_size: int = 128
    learning_rate: float = 1e-3
    """The highest, reached after `warmup` steps, then a cosine down to 1 % of it."""
    warmup: int = 200
    paraphrase_steps: int = 0
    """How many of the steps, the first ones, train the text tower alone: two captions of one
    picture are a pair. New towers learn each other's noise at first; this gives the picture tower
    something to follow."""
    weight_decay: float = 0.05
    """On matrices and filters; never on norms, biases and the temperature."""
    max_gradient_norm: float = 1.0
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the forward pass; weights and optimizer stay float32."""
    seed: int = 0
    save_every: int = 200
    """Steps between training states and held-out evaluations."""


@dataclass(frozen=True)
class Step:
    """One step as reported and logged."""

    step: int
    """1-based."""
    loss: float
    learning_rate: float
    temperature: float
    images_per_second: float
    recall: Mapping[str, float] | None = None
    """What `evaluate` returned, at the steps that are saved."""


def train(
    model: AlignModel,
    preprocessor: Preprocessor,
    tokenizer_json: str,
    data: PairData,
    settings: TrainingSettings,
    out: Path,
    *,
    evaluate: Callable[[AlignEncoder], Mapping[str, float]] = lambda encoder: {},
    report: Callable[[Step], None] = lambda step: None,
    device: torch.device | None = None,
    stored_as: torch.dtype = torch.float32,
) -> None:
    """Train `model` in place and write a complete checkpoint to the folder `out`.

    ``out/training`` keeps the log (JSON lines) and the training state, written every
    `settings.save_every` steps. Called again with the same arguments after an interruption it goes
    on from there, with the very losses an uninterrupted run has. `stored_as` is the float type of
    the checkpoint's weights. Raises EncoderError where the state in `out` belongs to other
    settings, `out` holds other files, or `data` is less than one batch.
    """
    if len(data) < settings.batch_size:
        raise EncoderError(
            f"{len(data)} pictures are fewer than one batch of {settings.batch_size}:"
            " give more pictures or a smaller --batch-size"
        )
    device = device or torch.device("cpu")
    claim(out)
    channels_last(model.to(device))
    torch.manual_seed(settings.seed)
    optimizer = torch.optim.AdamW(_parameter_groups(model, settings.weight_decay))
    trainee = _Trainee(model, optimizer, settings)
    start = trainee.resume(out / "training" / STATE)
    save(out, model, preprocessor, tokenizer_json, stored_as)
    tokenizer = Tokenizer(out, model.config.text_config.max_position_embeddings)

    with open(_log_up_to(out / "training" / LOG, start), "a", encoding="utf-8") as log:
        for number in range(start, settings.steps):
            began = time.monotonic()
            rng = np.random.default_rng((settings.seed, number))
            indices = _batch(len(data), settings.batch_size, settings.seed, number)
            progress = number / settings.steps
            batch: list[tuple[npt.NDArray[Any], ...]] = [
                tokenizer([data.caption(i, rng, progress) for i in indices])
            ]
            if number < settings.paraphrase_steps:
                batch.append(tokenizer([data.caption(i, rng, progress) for i in indices]))
            else:
                batch.append((preprocessor.to_floats(data.pixels(indices)),))
            loss, rate = trainee.step(
                number, [[torch.from_numpy(x).to(device) for x in side] for side in batch]
            )
            speed = settings.batch_size / (time.monotonic() - began)
            recall = None
            if (number + 1) % settings.save_every == 0 or number + 1 == settings.steps:
                save(out, model, preprocessor, tokenizer_json, stored_as)
                encoder = AlignEncoder(load(out), str(out), device)
                recall = evaluate(encoder)
                trainee.save(out / "training" / STATE, number + 1)
            done = Step(number + 1, loss, rate, float(model.temperature.detach()), speed, recall)
            log.write(json.dumps(asdict(done)) + "\n")
            log.flush()
            report(done)


def claim(out: Path) -> None:
    """Make the folder `out`, or take up the training run in it; EncoderError where it holds
    anything else, which training would write over."""
    if out.exists() and not (out / "training").is_dir() and any(out.iterdir()):
        raise EncoderError(f"{out} holds other files: give a new folder as --out")
    (out / "training").mkdir(parents=True, exist_ok=True)


class _Trainee:
    """A model, its optimizer and their state on disk."""

    def __init__(
        self, model: AlignModel, optimizer: torch.optim.Optimizer, settings: TrainingSettings
    ) -> None:
        self.model, self.optimizer, self.settings = model, optimizer, settings

    def step(self, number: int, batch: Sequence[Sequence[Tensor]]) -> tuple[float, float]:
        """Loss and learning rate of step `number` on a batch of texts (ids, mask) and what they
        belong to: other texts, or pictures (floats,)."""
        settings, model = self.settings, self.model
        (ids, mask), other = batch
        rate = learning_rate(number, settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        model.train()
        half = settings.precision == "bfloat16"
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=half):
            texts = F.normalize(model.get_text_features(ids, mask), dim=-1)
            if len(other) == 1:
                pixels = other[0].contiguous(memory_format=torch.channels_last)
                others = F.normalize(model.get_image_features(pixels), dim=-1)
            else:
                others = F.normalize(model.get_text_features(*other), dim=-1)
            loss = contrastive_loss(texts @ others.T / model.temperature)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), settings.max_gradient_norm)
        self.optimizer.step()
        with torch.no_grad():
            model.temperature.clamp_(min=MIN_TEMPERATURE)
        return float(loss.detach()), rate

    def save(self, path: Path, step: int) -> None:
        tensors = {f"model.{n}": t for n, t in self.model.state_dict().items()}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{name}": t for name, t in state.items()}
        tensors["rng"] = torch.get_rng_state()
        meta = {"step": str(step), "settings": json.dumps(asdict(self.settings))}
        partial = path.with_suffix(".part")
        save_file({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, partial, meta)
        partial.replace(path)

    def resume(self, path: Path) -> int:
        """Take up the state at `path`, if there is one; the number of steps already done."""
        if not path.exists():
            return 0
        with safe_open(path, "pt") as file:
            meta: dict[str, str] = file.metadata()
        if json.loads(meta["settings"]) != asdict(self.settings):
            raise EncoderError(
                f"{path} was written with other settings: give the same ones to go on,"
                f" or remove {path.parent} to start anew"
            )
        tensors = load_file(path)
        torch.set_rng_state(tensors.pop("rng"))
        states: dict[int, dict[str, Tensor]] = {}
        for name in [n for n in tensors if n.startswith("optimizer.")]:
            _, i, field = name.split(".")
            states.setdefault(int(i), {})[field] = tensors.pop(name)
        self.model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items()})
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": states, "param_groups": groups})
        return int(meta["step"])


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """Linear warm-up, then a cosine to 1 % of the peak; `step` counts from 0."""
    if step < settings.warmup:
        return settings.learning_rate * (step + 1) / settings.warmup
    share = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2)


def _batch(count: int, size: int, seed: int, step: int) -> list[int]:
    """Indices of one batch: every epoch is a fresh permutation, its incomplete last batch left."""
    per_epoch = count // size
    epoch, place = divmod(step, per_epoch)
    order = np.random.default_rng((seed, 1_000_003, epoch)).permutation(count)
    return [int(i) for i in order[place * size : (place + 1) * size]]


def _log_up_to(path: Path, step: int) -> Path:
    """Cut the log of an interrupted run back to the state that is taken up."""
    lines = path.read_text("utf-8").splitlines(keepends=True)[:step] if path.exists() else []
    path.write_text("".join(lines), "utf-8")
    return path


def _parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
