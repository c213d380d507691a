"""A checkpoint directory in the Hugging Face layout: find it, read it strictly, write it.

config.json  preprocessor_config.json  tokenizer.json (or vocab.txt)  model.safetensors
"""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from encoder.bundled import BUNDLED
from encoder.durable import replacing
from encoder.errors import CheckpointError, EncoderError, HubError
from encoder.model.align import AlignModel
from encoder.model.config import AlignConfig
from encoder.pictures.picture import READING_RULES
from encoder.preprocess import Preprocessor
from encoder.tokenizer import MAX_TOKENS, Tokenizer

WEIGHTS = "model.safetensors"
FILES = ("config.json", "preprocessor_config.json", "tokenizer.json", "vocab.txt", WEIGHTS)
_PICKLES = ("pytorch_model.bin", "model.bin", "model.pt", "model.pth", "model.ckpt")


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint; the model is on the CPU, float32, in evaluation mode."""

    model: AlignModel
    preprocessor: Preprocessor
    tokenizer: Tokenizer
    fingerprint: str
    """32 hex digits over weights, architecture, vocabulary, preprocessing and the rules by which
    files are read."""


def find(name_or_path: str, revision: str | None = None) -> tuple[Path, str | None]:
    """The directory of a bundled name, a local path or a hub id, and the hub's commit if any.

    Files that are on this machine are used without asking the network. Raises HubError if a hub id
    is neither here nor reachable, CheckpointError if a path does not exist.
    """
    if name_or_path in BUNDLED:
        return BUNDLED[name_or_path], None
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return path, None
    if path.is_absolute() or name_or_path.startswith((".", "~")) or name_or_path.count("/") != 1:
        raise CheckpointError(
            f"{name_or_path} is not a checkpoint: give {' or '.join(BUNDLED)}, a hub id such as"
            f" kakaobrain/align-base, or a folder with {', '.join(FILES[:3])} and {WEIGHTS}"
        )
    return _fetch(name_or_path, revision)


def load(directory: Path) -> Checkpoint:
    """Read a checkpoint; CheckpointError names the file, parameter or size that is wrong."""
    for name in ("config.json", "preprocessor_config.json"):
        if not (directory / name).is_file():
            raise CheckpointError(f"{directory} is not a checkpoint: it has no {name}")
    weights = _weights(directory)
    config = AlignConfig.read(directory / "config.json")
    preprocessor = Preprocessor.read(directory / "preprocessor_config.json")
    text = config.text_config
    tokenizer = Tokenizer(directory, min(MAX_TOKENS, text.max_position_embeddings))
    if tokenizer.vocab_size > text.vocab_size:
        raise CheckpointError(
            f"{directory}: the tokenizer has {tokenizer.vocab_size} entries, but the model's"
            f" vocab_size is {text.vocab_size}: they belong to different checkpoints"
        )
    if preprocessor.shape is not None:
        config.vision_config.require_room(*preprocessor.shape[:2])
    model = AlignModel(config)
    load_weights(model, weights)
    digest = hashlib.sha256()
    with open(weights, "rb") as file:
        digest.update(hashlib.file_digest(file, "sha256").digest())
    for part in (asdict(config), asdict(preprocessor), READING_RULES):
        digest.update(json.dumps(part, sort_keys=True).encode())
    digest.update(tokenizer.identity())
    return Checkpoint(model.eval(), preprocessor, tokenizer, digest.hexdigest()[:32])


def load_weights(model: AlignModel, path: Path) -> None:
    """Fill `model` from a safetensors file of any float type.

    The file may hold ``text_model.pooler.*`` and ``num_batches_tracked``, which are ignored. Any
    other tensor that is extra, missing or of another shape is a CheckpointError that names it.
    """
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read as safetensors: {error}") from error
    wanted = {n: t for n, t in model.state_dict().items() if not n.endswith("num_batches_tracked")}
    found = {
        n: t
        for n, t in state.items()
        if not n.startswith("text_model.pooler.") and not n.endswith("num_batches_tracked")
    }
    for what, names in (
        ("lacks", wanted.keys() - found.keys()),
        ("has extra names,", found.keys() - wanted.keys()),
    ):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise CheckpointError(f"{path} {what} {', '.join(sorted(names)[:3])}{more}")
    for name, tensor in found.items():
        if tensor.shape != wanted[name].shape:
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(tensor.shape)}, but config.json says"
                f" {tuple(wanted[name].shape)}"
            )
    model.load_state_dict({n: t.float() for n, t in found.items()}, strict=False)


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


def _weights(directory: Path) -> Path:
    if (directory / WEIGHTS).is_file():
        return directory / WEIGHTS
    pickled = [name for name in _PICKLES if (directory / name).exists()]
    if pickled:
        raise CheckpointError(
            f"{directory} has only {pickled[0]}, a pickle; pickles can run any code and are"
            f" never loaded: convert it to {WEIGHTS} with the safetensors package"
        )
    raise CheckpointError(f"{directory} is not a checkpoint: it has no {WEIGHTS}")


def _fetch(repo: str, revision: str | None) -> tuple[Path, str | None]:
    import huggingface_hub
    from huggingface_hub.errors import (
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    def snapshot(local: bool) -> Path:
        return Path(
            huggingface_hub.snapshot_download(
                repo, revision=revision, allow_patterns=list(FILES), local_files_only=local
            )
        )

    try:
        path = snapshot(local=True)
        if not (path / WEIGHTS).exists():  # an interrupted download
            raise LocalEntryNotFoundError(WEIGHTS)
    except HFValidationError as error:
        raise CheckpointError(f"{repo} is neither a folder nor a hub id: {error}") from error
    except LocalEntryNotFoundError:
        try:
            path = snapshot(local=False)
        except (RepositoryNotFoundError, RevisionNotFoundError) as error:
            at = f" at revision {revision}" if revision else ""
            raise HubError(
                f"the hub has no model {repo}{at}: check the name, or give the path of a local"
                " folder"
            ) from error
        except Exception as error:  # the hub's client raises a dozen types when it is offline
            raise HubError(
                f"{repo} is not on this machine and the hub cannot be reached"
                f" ({type(error).__name__}): use --model align-small, which comes with the"
                f" package, or put {', '.join(FILES)} of {repo} into a folder and give its path"
                " as --model"
            ) from error
    if not (path / WEIGHTS).exists():
        raise CheckpointError(
            f"{repo} on the hub has no {WEIGHTS}; pickled weights can run any code and are never"
            " loaded: choose a revision that has it"
        )
    return path, path.name
