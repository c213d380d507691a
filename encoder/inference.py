"""`load_encoder`: a checkpoint, ready to embed pictures and texts."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from PIL import Image

from encoder.backends import Backend, choose, choose_device, embed_images, embed_texts
from encoder.backends.batches import unit
from encoder.bundled import BUNDLED
from encoder.checkpoint import Checkpoint, find, load
from encoder.pictures.sources import PictureSource, open_image, several
from encoder.protocol import Embeddings, Pixels, as_texts
from encoder.tokenizer import MAX_TOKENS


class AlignEncoder:
    """An `encoder.protocol.Encoder` over an ALIGN checkpoint.

    Embeddings are normalised here and nowhere else. A tower is loaded when it is first used.
    """

    def __init__(
        self, checkpoint: Checkpoint, name: str, backend: Backend, revision: str | None = None
    ) -> None:
        self.name = name
        self.fingerprint = checkpoint.fingerprint
        self.revision = revision
        """The commit of the hub that the files came from; None for local files."""
        self.temperature = checkpoint.temperature
        self.dim = checkpoint.config.projection_dim
        self.preprocessing = checkpoint.preprocessor.in_words()
        self._checkpoint = checkpoint
        self._preprocessor = checkpoint.preprocessor
        self._tokenizer = checkpoint.tokenizer
        self._backend = backend

    @property
    def precision(self) -> str:
        """What computes embeddings of pictures, such as ``float32 on cpu``."""
        return self._backend.precision

    def is_known_as(self, fingerprint: str) -> bool:
        """Whether `fingerprint` is that of this model, also by the rule of version 0.1."""
        return self._checkpoint.is_known_as(fingerprint)

    @property
    def prepare(self) -> Callable[[Image.Image], Pixels]:
        """Resizes and crops one upright RGB picture; (h, w, 3) uint8. Safe from any thread, and
        pickled without the model."""
        return self._preprocessor.prepare

    def encode_images(self, pictures: Sequence[PictureSource | Pixels]) -> Embeddings:
        """Embed pictures, or pixels that `prepare` returned, which an array of their shape is taken
        for; (n, dim) float32. A single picture is taken as a list of one."""
        pictures = several(pictures)

        def pixels(number: int) -> Pixels:
            return self._pixels(pictures[number])

        return embed_images(self._backend, self.dim, len(pictures), pixels)

    def _pixels(self, picture: PictureSource | Pixels) -> Pixels:
        shape, pixel = self._preprocessor.shape, np.uint8
        if isinstance(picture, np.ndarray) and picture.shape == shape and picture.dtype == pixel:
            return picture
        return self.prepare(open_image(picture))

    def by_every_way(self, picture: PictureSource) -> Iterator[tuple[str, Embeddings]]:
        """The embedding of one picture, (1, dim), by each way that could compute it here."""
        pixels = np.stack([self._pixels(picture)])
        for precision, features in self._backend.every_way():
            yield precision, unit(features(pixels))

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """What the text tower sees of each text."""
        return self._tokenizer.ids(texts)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts; longer ones are cut to 64 tokens. (n, dim) float32. A single text is taken
        as a list of one."""
        return embed_texts(self._backend, self.dim, self._tokenizer, as_texts(texts))

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


def load_encoder(
    name_or_path: str, device: str = "auto", revision: str | None = None
) -> AlignEncoder:
    """Load a checkpoint for embedding.

    `name_or_path`: ``align-small`` or ``align-mini`` (bundled), a local directory, or a hub id such
    as ``kakaobrain/align-base``, which is fetched once, at `revision` (by default the main branch).
    `device`: ``auto`` takes CUDA or Apple's mps if this machine has it, else the CPU. Raises
    CheckpointError or HubError with the remedy, EncoderError for a device that is not there.
    """
    where = choose_device(device)
    path, commit = find(name_or_path, revision)
    bundled_or_hub = name_or_path in BUNDLED or commit is not None
    name = name_or_path if bundled_or_hub else str(path.resolve())
    checkpoint = load(path)
    return AlignEncoder(checkpoint, name, choose(checkpoint, where), commit)
