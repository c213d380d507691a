"""AdamW's parameter groups, and the learning rate over time."""

import math
from typing import Any

import torch

from encoder.model.align import AlignModel
from encoder.training.settings import TrainingSettings


def make_optimizer(model: AlignModel, settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW over the parameters that are not frozen. Matrices and filters decay; norms, biases and
    the temperature do not. ``peak`` of a parameter group is its highest learning rate."""
    rates = {
        "vision_model": settings.image_learning_rate,
        "text_model": settings.text_learning_rate,
        "text_projection": settings.text_learning_rate,
    }
    heads = [model.text_projection, *model.vision_model.last_stage()]
    in_heads = {parameter for head in heads for parameter in head.parameters()}
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            own = settings.head_learning_rate if parameter in in_heads else None
            peak = own or rates.get(name.split(".")[0]) or settings.learning_rate
            decay = settings.weight_decay if parameter.ndim >= 2 else 0.0
            groups.setdefault((peak, decay), []).append(parameter)
    made: list[dict[str, Any]] = [
        {"params": parameters, "weight_decay": decay, "peak": peak}
        for (peak, decay), parameters in groups.items()
    ]
    return torch.optim.AdamW(made, lr=settings.learning_rate)


def set_learning_rate(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Set the rate of every parameter group to this share of its peak."""
    for group in optimizer.param_groups:
        group["lr"] = share * group["peak"]


def schedule(step: int, settings: TrainingSettings) -> float:
    """The share of the highest learning rate: linear warm-up, then a cosine down to 1 %. `step`
    counts from 0."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    share = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2
