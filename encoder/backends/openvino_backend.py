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

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._lock = threading.Lock()
        watch_forks(self)

    @cached_property
    def precision(self) -> str:
        """bfloat16 where the processor has units for it."""
        units: list[str] = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return "bfloat16" if "BF16" in units else "float32"

    @cached_property
    def version(self) -> str:
        """Of OpenVINO, and the name of the processor: what results may depend on."""
        import openvino

        return f"{openvino.__version__} on {self._core.get_property('CPU', 'FULL_DEVICE_NAME')}"

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
        for name in ("_queue", "_core"):
            leave_to_parent(self.__dict__.pop(name, None))
        self._lock = threading.Lock()

    @cached_property
    def _core(self) -> Any:
        import openvino

        return openvino.Core()

    @cached_property
    def _queue(self) -> Any:
        import openvino

        from encoder.backends.openvino_graph import image_graph

        checkpoint = self._checkpoint
        arrays = checkpoint.weights.arrays("vision_model.")
        graph = image_graph(checkpoint.config.vision_config, checkpoint.preprocessor, arrays)
        compiled = self._core.compile_model(
            graph,
            "CPU",
            {
                "PERFORMANCE_HINT": "THROUGHPUT",
                "INFERENCE_NUM_THREADS": processors(),
                "INFERENCE_PRECISION_HINT": {"bfloat16": "bf16", "float32": "f32"}[self.precision],
            },
        )
        return openvino.AsyncInferQueue(compiled)
