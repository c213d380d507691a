"""What networks that do not change make of pictures and texts: computed once, kept in files."""

import copy
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from encoder.durable import write_whole
from encoder.errors import EncoderError
from encoder.model.efficientnet import EfficientNet, ModuleT, channels_last, fold_batch_norms
from encoder.preprocess import Preprocessor
from encoder.protocol import Pixels
from encoder.training.data import DrawnViews, Maps, States, Views
from encoder.training.starts import Start

AT_ONCE = 32
"""Rows that are computed at once."""
SAVED_EVERY = 5.0
"""Seconds after which what is computed counts as done also after an interruption."""
SPARE = 1_000_000_000
"""Bytes of a disk that are left free."""

Rows = npt.NDArray[np.floating[Any]]
Progress = Callable[[str, int, int], None]
"""Called with what is computed, how many rows are done, and of how many."""


class KeptViews:
    """Views that were drawn once: what the frozen stages of the picture tower make of them."""

    def __init__(self, views: DrawnViews, maps: Rows, identity: str) -> None:
        """`maps` is (views of a picture, pictures, h, w, c)."""
        self.examples, self._maps = views.examples, maps
        self.identity = identity

    def view(self, index: int, caption: str, rng: np.random.Generator) -> Maps:
        """One of the views of a picture; none is mirrored if any of its captions says left or
        right."""
        return cast(Maps, self._maps[rng.integers(len(self._maps)), index])


class KeptTexts:
    """What a frozen text tower makes of texts: the last hidden states of [CLS], and the mean of
    those of all tokens."""

    def __init__(self, texts: Iterable[str], rows: Rows) -> None:
        """`rows` is (texts, 2, d)."""
        self._places = {text: place for place, text in enumerate(texts)}
        self._rows = rows

    def __call__(self, texts: Sequence[str]) -> States:
        """The states of [CLS], (b, d)."""
        return np.asarray(self._rows[[self._places[text] for text in texts], 0], np.float32)

    def means(self, texts: Sequence[str]) -> States:
        """The means, (b, d)."""
        return np.asarray(self._rows[[self._places[text] for text in texts], 1], np.float32)


def phrases(views: Views, templates: Sequence[str]) -> list[list[str]]:
    """The captions of each example, in the words of each template."""
    return [
        [template.replace("{}", caption) for template in templates for caption in e.captions]
        for e in views.examples
    ]


def keep_texts(
    start: Start,
    texts: Iterable[str],
    path: Path,
    progress: Progress = lambda what, done, count: None,
) -> KeptTexts:
    """Embed each text once and keep the result in `path`."""
    # Texts of like length share their padding.
    known = sorted(set(texts), key=lambda text: (len(text), text))
    tokenizer, device = start.tokenizer(), start.model.temperature.device
    tower = start.model.text_model.eval()

    def vectors(rows: range) -> Tensor:
        tokens = tokenizer([known[row] for row in rows])
        ids, mask = (torch.from_numpy(x).to(device) for x in tokens)
        hidden = tower(ids, mask)  # (b, t, d)
        share = mask[..., None] / mask.sum(1)[:, None, None]
        return torch.stack([hidden[:, 0], (hidden * share).sum(1)], 1)

    read = hashlib.sha256(json.dumps([start.tokenizer_json, known]).encode()).hexdigest()
    identity = f"{_identity([tower])} {read}"
    return KeptTexts(known, _kept(path, identity, len(known), vectors, progress))


def keep_views(
    start: Start,
    views: DrawnViews,
    *,
    stages: int,
    count: int,
    path: Path,
    seed: int,
    half: bool = False,
    progress: Progress = lambda what, done, count: None,
) -> KeptViews:
    """Draw `count` views of each picture and keep what the first `stages` stages make of them in
    `path`, 2 bytes a number. With `half` they are computed in bfloat16. A second call completes an
    interrupted first one.
    """
    first = _still(nn.Sequential(*start.model.vision_model.first_stages(stages)))
    pictures = len(views.examples)

    def drawn(row: int) -> Pixels:
        view, index = divmod(row, pictures)
        rng = np.random.default_rng((seed, view, index))
        return views.view(index, " ".join(views.examples[index].captions), rng)

    def maps(rows: range) -> Tensor:
        floats = _floats(first, start.preprocessor, [drawn(row) for row in rows])
        with torch.autocast(floats.device.type, torch.bfloat16, enabled=half):
            made = cast(Tensor, first(floats))
        return made.permute(0, 2, 3, 1).half()

    identity = f"{_identity([first])} {views.identity} {stages} stages {count} views seed {seed}"
    identity += " bfloat16" if half else ""
    kept = _kept(path, identity, count * pictures, maps, progress)
    return KeptViews(views, kept.reshape(count, pictures, *kept.shape[1:]), identity)


def head_features(
    tower: EfficientNet,
    preprocessor: Preprocessor,
    views: DrawnViews,
    path: Path,
    progress: Progress = lambda what, done, count: None,
) -> Rows:
    """What the projection of the picture tower's head sees of each whole picture, the mean over its
    places; (pictures, c), kept in `path`."""
    pictures, still = views.pictures, _still(tower)

    def features(rows: range) -> Tensor:
        whole = [preprocessor.prepare(Image.fromarray(pictures.pixels(row))) for row in rows]
        return still.widened(_floats(tower, preprocessor, whole)).mean((2, 3))

    identity = f"{_identity(tower.before_head())} {preprocessor} {pictures.identity}"
    return _kept(path, identity, len(pictures), features, progress)


def _identity(networks: Iterable[nn.Module]) -> str:
    digest = hashlib.sha256()
    for network in networks:
        for tensor in network.state_dict().values():
            digest.update(tensor.cpu().contiguous().numpy())
    return digest.hexdigest()


def _still(network: ModuleT) -> ModuleT:
    """A copy for evaluation alone, which is faster."""
    still = copy.deepcopy(network).eval()
    fold_batch_norms(still)
    return channels_last(still)


def _floats(tower: nn.Module, preprocessor: Preprocessor, pixels: Sequence[Pixels]) -> Tensor:
    """Pictures as the tower wants them, (b, 3, h, w)."""
    floats = torch.from_numpy(preprocessor.to_floats(np.stack(pixels)))
    return floats.to(next(tower.parameters()).device, memory_format=torch.channels_last)


def _kept(
    path: Path,
    identity: str,
    count: int,
    compute: Callable[[range], Tensor],
    progress: Progress,
) -> Rows:
    """`count` rows that `compute` makes of their numbers, in a file. What a file with the same
    `identity` holds is not computed again. EncoderError if the disk has no room for it."""
    record = path.with_suffix(".json")
    there = record.exists() and path.exists()
    known = json.loads(record.read_text("utf-8")) if there else {}
    first = known["rows"] if known.get("identity") == identity else 0
    array = np.load(path, mmap_mode="r+") if first else None
    progress(path.stem, first, count)
    saved = time.monotonic()
    with torch.inference_mode():
        for begin in range(first, count, AT_ONCE):
            end = min(begin + AT_ONCE, count)
            rows = compute(range(begin, end)).cpu().numpy()
            if array is None:
                record.unlink(missing_ok=True)
                path.unlink(missing_ok=True)
                shape = (count, *rows.shape[1:])
                _check_room(path, count * rows[0].nbytes)
                array = np.lib.format.open_memmap(path, "w+", rows.dtype, shape)
            array[begin:end] = rows
            progress(path.stem, end, count)
            if end == count or time.monotonic() - saved >= SAVED_EVERY:
                array.flush()
                saved = time.monotonic()
                with write_whole(record) as file:
                    file.write(json.dumps({"identity": identity, "rows": end}).encode())
    kept: Rows = np.load(path, mmap_mode="r")
    return kept


def _check_room(path: Path, wanted: int) -> None:
    """A mapped file on a full disk would kill the process."""
    free = shutil.disk_usage(path.parent).free
    if wanted > free - SPARE:
        raise EncoderError(
            f"{path} needs {wanted / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free there: make"
            " room, or keep fewer views"
        )
