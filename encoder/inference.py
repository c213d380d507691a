"""`load_encoder`: a checkpoint, ready to embed pictures and texts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from encoder.bundled import BUNDLED
from encoder.checkpoint import Checkpoint, find, load
from encoder.errors import EncoderError
from encoder.model.efficientnet import channels_last, fold_batch_norms
from encoder.pictures.sources import PictureSource, open_image, several
from encoder.protocol import TEXT_BATCH, Embeddings, Pixels, as_texts
from encoder.system import one_thread_after_fork
from encoder.tokenizer import MAX_TOKENS

one_thread_after_fork(torch.set_num_threads)

IMAGE_BATCH = 32

T = TypeVar("T")


class AlignEncoder:
    """An `encoder.protocol.Encoder` over an ALIGN checkpoint.

    Batch norms are folded into the convolutions, and pictures are channels-last. CUDA computes in
    bfloat16 (autocast), the CPU in float32. Embeddings are normalised here and nowhere else.
    """

    def __init__(
        self, checkpoint: Checkpoint, name: str, device: torch.device, revision: str | None = None
    ) -> None:
        self.name = name
        self.fingerprint = checkpoint.fingerprint
        self.revision = revision
        """The commit of the hub that the files came from; None for local files."""
        self.device = device
        self.temperature = float(checkpoint.model.temperature.detach())
        self.dim = checkpoint.model.config.projection_dim
        self.preprocessing = checkpoint.preprocessor.in_words()
        self._preprocessor = checkpoint.preprocessor
        self._tokenizer = checkpoint.tokenizer
        fold_batch_norms(checkpoint.model)
        self._model = channels_last(checkpoint.model.to(device))

    @property
    def prepare(self) -> Callable[[Image.Image], Pixels]:
        """Resizes and crops one upright RGB picture; (h, w, 3) uint8. Safe from any thread, and
        pickled without the model."""
        return self._preprocessor.prepare

    def encode_images(self, pictures: Sequence[PictureSource | Pixels]) -> Embeddings:
        """Embed pictures, or pixels that `prepare` returned, which an array of their shape is taken
        for; (n, dim) float32. A single picture is taken as a list of one."""
        pictures = several(pictures)

        def features(batch: Sequence[PictureSource | Pixels]) -> Tensor:
            pixels = np.stack([self._pixels(picture) for picture in batch])
            floats = torch.from_numpy(self._preprocessor.to_floats(pixels))
            return self._model.get_image_features(
                floats.to(self.device, memory_format=torch.channels_last)
            )

        return self._embed(features, _batches(pictures, IMAGE_BATCH))

    def _pixels(self, picture: PictureSource | Pixels) -> Pixels:
        shape, pixel = self._preprocessor.shape, np.uint8
        if isinstance(picture, np.ndarray) and picture.shape == shape and picture.dtype == pixel:
            return picture
        return self.prepare(open_image(picture))

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts; longer ones are cut to 64 tokens. (n, dim) float32. A single text is taken
        as a list of one."""

        def features(batch: Sequence[str]) -> Tensor:
            ids, mask = (torch.from_numpy(x).to(self.device) for x in self._tokenizer(batch))
            return self._model.get_text_features(ids, mask)

        return self._embed(features, _batches(as_texts(texts), TEXT_BATCH))

    def notes(self, texts: Iterable[str]) -> list[str]:
        """A sentence about each text that is not embedded as it stands: no word of it is known, or
        its end is cut."""
        notes = []
        for text in texts:
            known, is_cut = self._tokenizer.reading(text)
            short = f"{text[:40]!r}{' ...' if len(text) > 40 else ''}"
            if text.strip() and not known:
                notes.append(f"{self.name} knows no word of {short}")
            if is_cut:
                notes.append(f"{short} is read up to its first {MAX_TOKENS} tokens")
        return notes

    def _embed(
        self, features: Callable[[Sequence[T]], Tensor], batches: Iterator[Sequence[T]]
    ) -> Embeddings:
        rows = [np.zeros((0, self.dim), np.float32)]
        half = self.device.type == "cuda"
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            for batch in batches:
                rows.append(F.normalize(features(batch).float(), dim=-1).cpu().numpy())
        return np.concatenate(rows)


def load_encoder(
    name_or_path: str, device: str = "auto", revision: str | None = None
) -> AlignEncoder:
    """Load a checkpoint for embedding.

    `name_or_path`: ``align-small`` or ``align-mini`` (bundled), a local directory, or a hub id such
    as ``kakaobrain/align-base``, which is fetched once, at `revision` (by default the main branch).
    `device`: ``auto`` takes CUDA if this machine has it, else the CPU. Raises CheckpointError or
    HubError with the remedy, EncoderError for a device that is not there.
    """
    where = choose_device(device)
    path, commit = find(name_or_path, revision)
    bundled_or_hub = name_or_path in BUNDLED or commit is not None
    name = name_or_path if bundled_or_hub else str(path.resolve())
    return AlignEncoder(load(path), name, where, commit)


def choose_device(name: str) -> torch.device:
    """The device named `auto`, `cpu`, `cuda` or `cuda:N`; EncoderError if it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:  # AssertionError: this torch has no CUDA
        raise EncoderError(
            f"there is no device {name!r} here: use --device auto, cpu or cuda"
        ) from error
    return device


def _batches(values: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (values[i : i + size] for i in range(0, len(values), size))
