"""The two towers of a checkpoint in torch: read strictly, each by itself; written whole."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from encoder.durable import replacing
from encoder.errors import CheckpointError, EncoderError
from encoder.model.align import AlignModel
from encoder.model.bert import Bert
from encoder.model.config import AlignConfig
from encoder.model.efficientnet import EfficientNet
from encoder.preprocess import Preprocessor
from encoder.tokenizer import MAX_TOKENS
from encoder.weights import WEIGHTS, Weights

ModuleT = TypeVar("ModuleT", bound=nn.Module)

_USED = {
    "text_model.embeddings.position_embeddings.weight": MAX_TOKENS,
    "text_model.embeddings.token_type_embeddings.weight": 1,
}
"""Of these tensors only so many first rows are ever used."""


def check(config: AlignConfig, weights: Weights) -> tuple[str, float]:
    """A digest of all weights that embeddings depend on, and the temperature.

    The files may hold ``text_model.pooler.*`` and counters, which are ignored. Any other tensor
    that is extra, missing or of another shape is a CheckpointError that names it.
    """
    where = weights.files[0]
    wanted = {name: tuple(t.shape) for name, t in _empty(lambda: AlignModel(config)).items()}
    found = {name: shape for name, shape in weights.shapes.items() if not _is_ignored(name)}
    for what, names in (
        ("lacks", wanted.keys() - found.keys()),
        ("has extra names,", found.keys() - wanted.keys()),
    ):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise CheckpointError(f"{where} {what} {', '.join(sorted(names)[:3])}{more}")
    for name, shape in found.items():
        if shape != wanted[name]:
            raise CheckpointError(
                f"{where}: {name} has shape {shape}, but config.json says {wanted[name]}"
            )
    digest = hashlib.sha256()
    tensors = weights.read("")
    for name in sorted(wanted.keys() - {"temperature"}):
        used = tensors[name][: _USED.get(name)]
        digest.update(f"{name}{tuple(used.shape)}".encode())
        digest.update(used.contiguous().numpy().data)
    return digest.hexdigest(), float(tensors["temperature"])


def read_model(config: AlignConfig, weights: Weights) -> AlignModel:
    """The model, in memory of its own, so that it may be trained."""
    return _filled(lambda: AlignModel(config), {n: t.clone() for n, t in weights.read("").items()})


def read_image_tower(config: AlignConfig, weights: Weights) -> EfficientNet:
    """The picture tower alone; weights that are float32 in their file stay there until used."""
    return _filled(lambda: EfficientNet(config.vision_config), _under("vision_model.", weights))


def read_text_tower(config: AlignConfig, weights: Weights) -> tuple[Bert, nn.Linear]:
    """The text tower and its projection alone, as `read_image_tower`."""
    text = _filled(lambda: Bert(config.text_config), _under("text_model.", weights))
    sizes = config.text_config.hidden_size, config.projection_dim
    return text, _filled(lambda: nn.Linear(*sizes), _under("text_projection.", weights))


def save(
    directory: Path,
    model: AlignModel,
    preprocessor: Preprocessor,
    tokenizer_json: str,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a complete checkpoint, which `load` and the reference library accept.

    `tokenizer_json` is the serialised `tokenizers.Tokenizer`. Weights are stored as `dtype`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    model.config.write(directory / "config.json")
    preprocessor.write(directory / "preprocessor_config.json")
    (directory / "tokenizer.json").write_text(tokenizer_json, "utf-8")
    tokenizer_config = {
        "tokenizer_class": "BertTokenizer",
        "model_max_length": MAX_TOKENS,
        "do_lower_case": True,
    }
    text = json.dumps(tokenizer_config, indent=2) + "\n"
    (directory / "tokenizer_config.json").write_text(text, "utf-8")
    state = {
        name: tensor.to(dtype).contiguous() if tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    write_tensors(state, directory / WEIGHTS, {"format": "pt"})
    # safetensors makes a file that only its owner can read
    shutil.copymode(directory / "config.json", directory / WEIGHTS)


def write_tensors(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write a safetensors file, whole or not at all; EncoderError if it cannot be written."""
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata)
    except (SafetensorError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise EncoderError(
            f"{path} cannot be written ({reason}): make room on the disk and give the same command"
        ) from error


def _under(prefix: str, weights: Weights) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in weights.read(prefix).items()}


def _empty(make: Callable[[], nn.Module]) -> dict[str, Tensor]:
    """The state of a module that has shapes alone, without what is ignored in files."""
    with torch.device("meta"):
        state = make().state_dict()
    return {name: tensor for name, tensor in state.items() if not _is_ignored(name)}


def _filled(make: Callable[[], ModuleT], state: dict[str, Tensor]) -> ModuleT:
    """The module with these weights, in evaluation mode. Nothing is drawn or copied first."""
    with torch.device("meta"):
        module = make()
    module.load_state_dict(state, strict=False, assign=True)
    for name, buffer in module.named_buffers():
        if buffer.is_meta:  # a counter of batches, which only training uses
            owner, _, leaf = name.rpartition(".")
            module.get_submodule(owner).register_buffer(
                leaf, torch.zeros_like(buffer, device="cpu")
            )
    return module.eval()


def _is_ignored(name: str) -> bool:
    return name.startswith("text_model.pooler.") or name.endswith(
        ("num_batches_tracked", "embeddings.position_ids", "embeddings.token_type_ids")
    )
