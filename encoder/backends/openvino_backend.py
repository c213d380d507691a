"""The picture tower in OpenVINO (extra ``cpu``), the fastest on processors."""

import threading
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import numpy as np

from encoder.backends.protocol import Features
from encoder.checkpoint import Checkpoint
from encoder.protocol import Pixels
from encoder.system import leave_to_parent, processors, watch_forks


def is_installed() -> bool:
    """Whether the extra is; does not load it."""
    return find_spec("openvino") is not None


class OpenVinoImages:
    """Features of pictures. A graph is made and compiled when it is first used, in about a
    second."""

    def __init__(self, checkpoint: Checkpoint, half: bool) -> None:
        """With `half` it computes in bfloat16, else in float32."""
        self._checkpoint, self._half = checkpoint, half
        self._lock = threading.Lock()
        watch_forks(self)

    def __call__(self, pixels: Pixels) -> Features:
        """(b, h, w, 3) uint8 to (b, e). Pictures are computed one by one, several at once."""
        rows = np.empty((len(pixels), self._checkpoint.config.projection_dim), np.float32)

        def take(request: Any, number: int) -> None:
            rows[number] = request.get_output_tensor().data[0]

        with self._lock:
            queue = self._queue
            queue.set_callback(take)
            for number in range(len(pixels)):
                queue.start_async([pixels[number : number + 1]], number)
            queue.wait_all()
        return rows

    def after_fork(self) -> None:
        """The threads are those of the parent process: this one starts its own."""
        leave_to_parent(self.__dict__.pop("_queue", None))
        self._lock = threading.Lock()

    @cached_property
    def _queue(self) -> Any:
        from encoder.backends.openvino_graph import image_graph
        from encoder.backends.quiet_openvino import openvino

        checkpoint = self._checkpoint
        arrays = checkpoint.weights.arrays("vision_model.")
        graph = image_graph(checkpoint.config.vision_config, checkpoint.preprocessor, arrays)
        compiled = openvino.Core().compile_model(
            graph,
            "CPU",
            {
                "PERFORMANCE_HINT": "THROUGHPUT",
                "INFERENCE_NUM_THREADS": processors(),
                "INFERENCE_PRECISION_HINT": "bf16" if self._half else "f32",
            },
        )
        return openvino.AsyncInferQueue(compiled)
