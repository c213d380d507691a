"""Training in a process of its own: ``python -m tests.encoder.training_worker OUT JSON``.

JSON holds `settings` (of TrainingSettings) and `die`. "step 5" or "evaluation 2" prints a line and
then waits there to be killed; null trains to the end. Several processes get torchrun's environment
variables; the first prints the losses.
"""

import json
import sys
import time
from pathlib import Path

import torch

from encoder.training import Step, TrainingSettings, join
from tests.encoder.tiny import run


def main() -> None:
    torch.set_num_threads(1)
    out, asked = Path(sys.argv[1]), json.loads(sys.argv[2])
    evaluations, losses = [], []

    def stop_at(place: str) -> None:
        if asked["die"] == place:
            print("here", flush=True)
            time.sleep(600)

    def evaluate(encoder: object) -> dict[str, float]:
        evaluations.append(encoder)
        stop_at(f"evaluation {len(evaluations)}")
        return {}

    def report(step: Step) -> None:
        losses.append(step.loss)
        stop_at(f"step {step.step}")

    with join("cpu") as (world, device):
        settings = TrainingSettings(**asked["settings"])
        run(out, settings, evaluate=evaluate, report=report, world=world, device=device)
        if world.first:
            print(json.dumps(losses))


if __name__ == "__main__":
    main()
