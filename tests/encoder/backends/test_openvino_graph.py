"""The graphs of OpenVINO against the towers in torch, for every kind of layer."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from encoder.backends.openvino_graph import image_graph
from encoder.backends.quiet_openvino import openvino as ov
from encoder.model.align import AlignModel
from encoder.model.config import ACTIVATIONS, AlignConfig
from encoder.preprocess import Preprocessor

pytestmark = pytest.mark.openvino

VISIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "square padding": {"depthwise_padding": (1, 3)},
    "max pooling": {"pooling_type": "max"},
    "expanding from the start": {"expand_ratios": (2, 1, 4)},
    **{name: {"hidden_act": name} for name in ACTIVATIONS},
}


def arrays(model: AlignModel) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("name", VISIONS)
def test_pictures(
    name: str,
    tiny: Callable[..., AlignConfig],
    enliven: Callable[[AlignModel, Tensor], AlignModel],
    pictures: list[Image.Image],
) -> None:
    config = tiny(vision=VISIONS[name])
    rules = Preprocessor(size=(65, 71))
    pixels = np.stack([rules.prepare(picture) for picture in pictures])
    floats = torch.from_numpy(rules.to_floats(pixels)).contiguous()
    model = enliven(AlignModel(config), floats)
    with torch.inference_mode():
        wanted = model.get_image_features(floats).numpy()
    graph = image_graph(config.vision_config, rules, arrays(model))
    exact = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compute = ov.Core().compile_model(graph, "CPU", exact)
    found = np.concatenate([np.asarray(compute([one[None]])[0]) for one in pixels])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
