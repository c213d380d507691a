"""Any dual encoder of transformers (CLIP, SigLIP, SigLIP 2, ...) as an encoder of this project.

Needs the extra ``transformers``. No code of a model is run: only classes that transformers itself
has.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from encoder.backends import choose_device
from encoder.errors import EncoderError
from encoder.fitting import Fitting
from encoder.pictures.picture import READING_RULES
from encoder.pictures.sources import PictureSource, open_image, several
from encoder.protocol import Embeddings, Pixels, as_texts

_IMAGES, _TEXTS = 8, 32
"""Pictures and texts at once."""
_WEIGHTS = ("*.safetensors", "*.json", "*.txt", "*.model")


class TransformersEncoder:
    """An `encoder.protocol.Encoder` over a model with image and text features."""

    revision: str | None = None

    def __init__(self, name: str, folder: Path, device: torch.device) -> None:
        from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

        self.name = name
        self.device = device
        config = AutoConfig.from_pretrained(folder)
        self._model = AutoModel.from_pretrained(folder, config=config).eval().to(device)
        lacking = {"get_image_features", "get_text_features"} - set(dir(self._model))
        if lacking:
            raise EncoderError(f"{name} is no dual encoder: {config.model_type} lacks features")
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        processor: Any = AutoImageProcessor.from_pretrained(folder)
        self._fitting = Fitting.of(processor)
        self._mean = torch.tensor(processor.image_mean).view(1, 3, 1, 1)
        self._std = torch.tensor(processor.image_std).view(1, 3, 1, 1)
        text = getattr(config, "text_config", config)
        self._length = int(getattr(text, "max_position_embeddings", 64))
        # SigLIP was trained with texts of full length (arXiv 2303.15343, section 4).
        self._padding: Any = "max_length" if "siglip" in config.model_type else True
        scale = getattr(self._model, "logit_scale", torch.tensor(0.0)).detach().float()
        self.temperature = float(torch.exp(-scale).item())
        self.fingerprint = _fingerprint(folder)
        self.preprocessing = self._fitting.in_words()
        self.dim = int(self.encode_texts(["a"]).shape[1])

    @property
    def prepare(self) -> Any:
        """Resizes and crops one upright RGB picture; (h, w, 3) uint8."""
        return self._fitting.prepare

    def encode_images(self, pictures: Sequence[PictureSource | Pixels]) -> Embeddings:
        """Embed pictures, or pixels that `prepare` returned; (n, dim) float32."""

        def pixels(picture: PictureSource | Pixels) -> Pixels:
            if isinstance(picture, np.ndarray) and picture.shape == self._fitting.shape:
                return picture
            return self._fitting.prepare(open_image(picture))

        def features(batch: Sequence[PictureSource | Pixels]) -> Any:
            floats = torch.from_numpy(np.stack([pixels(each) for each in batch])).float() / 255
            normal = (floats.permute(0, 3, 1, 2) - self._mean) / self._std
            return self._model.get_image_features(pixel_values=normal.to(self.device))

        return self._embed(features, several(pictures), _IMAGES)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts, cut to the model's length; (n, dim) float32."""

        def features(batch: Sequence[str]) -> Any:
            clean = [text.encode("utf-8", "replace").decode() for text in batch]
            tokens = self._tokenizer(
                clean,
                padding=self._padding,
                truncation=True,
                max_length=self._length,
                return_tensors="pt",
            ).to(self.device)
            return self._model.get_text_features(**tokens)

        return self._embed(features, as_texts(texts), _TEXTS)

    def notes(self, texts: Iterable[str]) -> list[str]:
        """A sentence about each text whose end is cut."""
        lengths = ((text, len(self._tokenizer(text).input_ids)) for text in texts)
        return [
            f"{text[:40]!r} ... is read up to its first {self._length} tokens"
            for text, length in lengths
            if length > self._length
        ]

    def _embed(self, features: Any, values: Sequence[Any], size: int) -> Embeddings:
        rows = [np.zeros((0, getattr(self, "dim", 0)), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(values), size):
                found = features(values[start : start + size])
                found = getattr(found, "pooler_output", found)
                rows.append(F.normalize(found.float(), dim=-1).cpu().numpy())
        return np.concatenate(rows[1:] or rows)


def load_transformers(name: str, device: str = "auto") -> TransformersEncoder:
    """The dual encoder at a folder or with a hub id. Raises EncoderError with the remedy."""
    try:
        import transformers
    except ImportError:
        raise EncoderError(
            "models of transformers need it: pip install 'align-retrieval[transformers]'"
        ) from None
    where = torch.device(choose_device(device))
    path = Path(name).expanduser()
    full = f"transformers:{path.resolve() if path.is_dir() else name}"
    transformers.utils.logging.disable_progress_bar()
    try:
        folder = path if path.is_dir() else _fetched(name)
        return TransformersEncoder(full, folder, where)
    except (OSError, ValueError, KeyError, AttributeError) as error:
        reason = str(error).strip().splitlines()
        raise EncoderError(
            f"{name} cannot be loaded with transformers ({reason[0] if reason else error!r}); give"
            " a folder or a hub id of a model such as CLIP or SigLIP 2"
        ) from error


def _fetched(name: str) -> Path:
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(name, allow_patterns=list(_WEIGHTS)))


def _fingerprint(folder: Path) -> str:
    """32 hex digits over the files of the model and the rules by which pictures are read."""
    digest = hashlib.sha256(json.dumps(READING_RULES).encode())
    for file in sorted({file for pattern in _WEIGHTS for file in folder.glob(pattern)}):
        with open(file, "rb") as data:
            digest.update(file.name.encode() + hashlib.file_digest(data, "sha256").digest())
    return digest.hexdigest()[:32]
