"""The training loop: step, report, and at intervals evaluate and save."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import torch

from encoder.backends.torch_backend import TorchBackend
from encoder.checkpoint import load
from encoder.durable import replacing
from encoder.errors import EncoderError
from encoder.inference import AlignEncoder
from encoder.model.efficientnet import channels_last
from encoder.towers import save
from encoder.training.batches import batches
from encoder.training.data import PairData
from encoder.training.distributed import World
from encoder.training.fitting import Classes
from encoder.training.kept import KeptTexts
from encoder.training.optimizer import schedule
from encoder.training.settings import Step, TrainingSettings
from encoder.training.starts import Start
from encoder.training.state import LOG, STATE, alone, claim, load_state, log_up_to, save_state
from encoder.training.step import Trainer
from encoder.weights import WEIGHTS


def train(
    start: Start,
    data: PairData,
    settings: TrainingSettings,
    out: Path,
    *,
    second: PairData | None = None,
    classes: Classes | None = None,
    texts: KeptTexts | None = None,
    evaluate: Callable[[AlignEncoder], Mapping[str, float]] = lambda encoder: {},
    measured: str = "",
    report: Callable[[Step], None] = lambda step: None,
    device: torch.device | None = None,
    world: World | None = None,
) -> None:
    """Train ``start.model`` in place and write a complete checkpoint to the folder `out`.

    `settings.labelled` pictures of each batch come from `second`. Pictures of `data` agree with
    `classes`, if there are any, as `settings.class_weight` says. `texts` knows all captions where
    the text tower is frozen.

    Every `settings.save_every` steps `evaluate` gets an encoder with the weights as stored. The
    checkpoint holds the weights with the highest `rsum`, or the newest if `evaluate` returns none.
    `measured` is the identity of the data that `evaluate` measures on.

    ``out/training`` keeps the log (JSON lines) and the state of the last such step. If this is
    called again with the same arguments after an interruption, training continues from that state,
    with exactly the losses of an uninterrupted run. In a `world` of several processes each calls
    this with its own device; only the first writes, evaluates and reports.

    Raises EncoderError if the state in `out` belongs to another start, other settings or other
    data, if `out` holds other files, if `data` is less than one batch, or if the loss is no longer
    finite.
    """
    others = settings.batch_size - settings.labelled
    if len(data) < others:
        raise EncoderError(
            f"{len(data)} pictures are fewer than one batch of {others}:"
            " give more pictures or a smaller --batch-size"
        )
    if (0 if second is None else len(second)) < settings.labelled:
        raise EncoderError(
            f"there are fewer than {settings.labelled} labels: give more labelled pictures or a"
            " smaller --labelled"
        )
    device, world = device or torch.device("cpu"), world or World()
    settings.parts(world.size)
    stored_as = {"float32": torch.float32, "float16": torch.float16}[settings.stored_as]
    with world.in_turn():
        run = claim(out)
    preprocessor = start.preprocessor
    if settings.stored_size:
        preprocessor = preprocessor.at_size(settings.stored_size)
    others_known = [some.identity for some in (second, classes) if some is not None]
    known = [data.identity, *others_known, start.identity(), measured]
    identity = " ".join(known)
    model = channels_last(start.model.to(device))
    trainer = Trainer(model, start.preprocessor, settings, world, classes)
    tokenizer = start.tokenizer()
    begin, best = load_state(run / STATE, trainer, settings, identity)
    with world.in_turn():
        if world.first and not begin:
            save(out, trainer.weights, preprocessor, start.tokenizer_json, stored_as)

    def saved(step: int) -> tuple[Mapping[str, float], bool]:
        """Evaluate the weights, keep them if they are the best, then write the state. A run that
        dies between two of these steps repeats them."""
        nonlocal best
        trainer.check_weights(step - 1)
        candidate = run / "candidate"
        save(candidate, trainer.weights, preprocessor, start.tokenizer_json, stored_as)
        kept = load(candidate)
        recall = evaluate(AlignEncoder(kept, str(out), TorchBackend(kept, device)))
        better = recall.get("rsum", best) >= best
        if better:
            best = recall.get("rsum", best)
            with replacing(out / WEIGHTS) as temporary:
                (candidate / WEIGHTS).replace(temporary)
        save_state(run / STATE, trainer, settings, identity, step, best)
        return recall, better

    def read_names() -> None:
        if classes is not None:
            trainer.read_names(tokenizer(classes.names))

    with ExitStack() as stack:
        stack.enter_context(alone(out, world))
        if world.first:
            log = stack.enter_context(open(log_up_to(run / LOG, begin), "a", encoding="utf-8"))
        read_names()
        began = time.monotonic()
        made = batches(data, texts or tokenizer, settings, begin, world, second)
        for number, parts in enumerate(made, begin):
            loss = trainer.step(number, parts)
            speed = settings.batch_size / (time.monotonic() - began)
            last = number + 1 == settings.steps
            if world.first:
                recall, better = None, False
                if (number + 1) % settings.save_every == 0 or last:
                    recall, better = saved(number + 1)
                done = Step(
                    number + 1,
                    loss,
                    settings.learning_rate * schedule(number, settings),
                    float(trainer.model.temperature.detach()),
                    speed,
                    recall,
                    better,
                )
                log.write(json.dumps(asdict(done)) + "\n")
                log.flush()
                report(done)
            if (number + 1) % settings.save_every == 0:
                read_names()
            began = time.monotonic()
    world.wait()
