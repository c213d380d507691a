"""Training that is killed, and training in several processes."""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from encoder.checkpoint import load
from encoder.training import TrainingSettings
from tests.encoder.tiny import SETTINGS, run, tiny_model

ROOT = Path(__file__).parents[3]


def start(
    out: Path, settings: TrainingSettings, die: str | None = None, **world: str
) -> subprocess.Popen[str]:
    asked = json.dumps({"settings": asdict(settings), "die": die})
    return subprocess.Popen(
        [sys.executable, "-m", "tests.encoder.training_worker", str(out), asked],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **world},
    )


@pytest.mark.parametrize("place", ["step 5", "evaluation 2"])
def test_killed_training_continues_to_the_same_bits(place: str, tmp_path: Path) -> None:
    settings = replace(SETTINGS, ema=0.5, micro_batch=2, labelled=2)
    whole = run(tmp_path / "whole", settings)
    with start(tmp_path / "cut", settings, place) as process:
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert load(tmp_path / "cut").model  # whole, at whatever moment it was killed

    rest = run(tmp_path / "cut", settings)
    done = {"step 5": 4, "evaluation 2": 2}[place]
    assert rest == whole[done:]
    logs = [(tmp_path / name / "training" / "log.jsonl") for name in ("whole", "cut")]
    losses = [[json.loads(line)["loss"] for line in log.read_text().splitlines()] for log in logs]
    assert losses == [whole, whole]
    assert load(tmp_path / "cut").fingerprint == load(tmp_path / "whole").fingerprint


ELEMENTWISE = {"elementwise_dropout": True}
"""Norms of so few pictures make all alike, and with whole branches left out nothing is left to
learn: gradients would be rounding errors, which no two runs share."""


@pytest.mark.parametrize(
    ("micro_batch", "rest"),
    [
        *((None, {}), (1, ELEMENTWISE), (None, {"freeze": "image"})),
        (2, {"batch_size": 8, "labelled": 4, "captions": 2, "head_dropout": 0.3, **ELEMENTWISE}),
    ],
)
def test_two_processes_equal_one_with_two_micro_batches(
    micro_batch: int | None, rest: dict[str, Any], tmp_path: Path
) -> None:
    """Loss, gradients (through the weights) and statistics, with paraphrases and dropout."""
    settings = replace(
        SETTINGS, steps=4, paraphrase_steps=1, micro_batch=micro_batch, save_every=4, **rest
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [
        start(tmp_path / "two", settings, RANK=str(i), LOCAL_RANK=str(i), **world) for i in (0, 1)
    ]
    said = [process.communicate(timeout=300)[0] for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0]
    assert said[1] == ""
    losses = json.loads(said[0].splitlines()[-1])

    alone = run(tmp_path / "one", replace(settings, micro_batch=micro_batch or 2))
    assert losses == pytest.approx(alone, abs=1e-5)
    one, two = (load(tmp_path / name).model.state_dict() for name in ("one", "two"))
    for name, tensor in one.items():
        if not name.endswith("self.key.bias"):  # its gradient is zero except for rounding
            torch.testing.assert_close(two[name], tensor, atol=2e-5, rtol=1e-4, msg=name)
    assert not torch.allclose(one["text_projection.weight"], tiny_model().text_projection.weight)
