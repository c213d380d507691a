"""The folder of a training run: its state, from which it can continue, and its log."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from encoder.errors import EncoderError
from encoder.towers import write_tensors
from encoder.training.distributed import World
from encoder.training.settings import TrainingSettings
from encoder.training.step import Trainer

STATE, LOG = "state.safetensors", "log.jsonl"
_MARK = ".align"
"""Marks our folder: another one may also be named ``training``."""


def claim(out: Path) -> Path:
    """Make the folder `out`, or accept it if it holds a training run; return the run's folder in
    it. EncoderError if `out` holds other files, which training would overwrite."""
    run = out / "training"
    if out.exists() and not (run / _MARK).is_file() and any(out.iterdir()):
        raise EncoderError(f"{out} holds other files: give a new folder as --out")
    run.mkdir(parents=True, exist_ok=True)
    (run / _MARK).touch()
    return run


@contextmanager
def alone(out: Path, world: World) -> Iterator[None]:
    """Keep all other processes than those of `world` from training into the folder `out`;
    EncoderError if one does. It may be entered again within."""
    if not world.first:
        yield
        return
    lock = FileLock(claim(out) / ".lock", timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except Timeout as error:
        raise EncoderError(
            f"another program trains into {out}: wait for it, or give another folder as --out"
        ) from error
    try:
        yield
    finally:
        lock.release()


def save_state(
    path: Path, trainer: Trainer, settings: TrainingSettings, data: str, step: int, best: float
) -> None:
    """Write all that a run needs to continue after `step` steps, whole or not at all. `data` is the
    identity of the data, `best` the highest rsum so far."""
    tensors = {f"model.{name}": t for name, t in trainer.model.state_dict().items()}
    if trainer.mean is not None:
        tensors |= {f"mean.{name}": t for name, t in trainer.mean.state_dict().items()}
    for i, state in trainer.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{name}": t for name, t in state.items()}
    meta = {
        "step": str(step),
        "best": repr(best),
        "settings": json.dumps(asdict(settings)),
        "data": data,
    }
    write_tensors({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, path, meta)


def load_state(
    path: Path, trainer: Trainer, settings: TrainingSettings, data: str
) -> tuple[int, float]:
    """Load the state at `path`, if there is one; return the steps done and the highest rsum so far.
    EncoderError if it was written with other settings or data."""
    if not path.exists():
        return 0, -1.0
    with safe_open(path, "pt") as file:
        meta: dict[str, str] = file.metadata()
    others = "pictures or captions, to train or to measure on, or from another model"
    for what, ours, said in (
        ("settings", json.dumps(asdict(settings)), "settings"),
        ("data", data, others),
    ):
        if meta[what] != ours:
            raise EncoderError(
                f"{path} was written with other {said}: give the same to continue, or a new folder"
                " as --out"
            )
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "mean": {}}
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in load_file(path).items():
        kind, rest = name.split(".", 1)
        if kind == "optimizer":
            i, field = rest.split(".")
            states.setdefault(int(i), {})[field] = tensor
        else:
            parts[kind][rest] = tensor
    trainer.model.load_state_dict(parts["model"])
    if trainer.mean is not None:
        trainer.mean.load_state_dict(parts["mean"])
    groups = trainer.optimizer.state_dict()["param_groups"]
    trainer.optimizer.load_state_dict({"state": states, "param_groups": groups})
    return int(meta["step"]), float(meta["best"])


def log_up_to(path: Path, step: int) -> Path:
    """Cut the log of an interrupted run back to the state from which it continues."""
    lines = path.read_text("utf-8").splitlines(keepends=True)[:step] if path.exists() else []
    path.write_text("".join(lines), "utf-8")
    return path
