"""A library of coloured pictures and texts, and an encoder that a reader can compute by hand."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from encoder import FakeEncoder
from encoder.fake import COLOURS
from indexer import Library
from retrieval import Engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures red.png, green.png, blue.png and captions.txt, indexed."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("red", "green", "blue"):
        Image.new("RGB", (12, 8), COLOURS[name]).save(folder / f"{name}.png")
    (folder / "captions.txt").write_text("a red thing\na green thing\na yellow thing\n")
    with Library.create(folder) as library:
        library.index([folder, folder / "captions.txt"], FakeEncoder)
    return folder


@pytest.fixture
def engine(folder: Path) -> Iterator[Engine]:
    with Engine(Library.open(folder), lambda name: FakeEncoder()) as engine:
        yield engine


@pytest.fixture
def paint(tmp_path: Path) -> Callable[..., Path]:
    """paint(name, colour, size, taken_at) writes a picture into the folder `album`."""

    def paint(
        name: str,
        colour: str | tuple[int, int, int],
        size: tuple[int, int] = (8, 8),
        taken_at: datetime | None = None,
    ) -> Path:
        path = tmp_path / "album" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 1  # else PNG leaves the whole EXIF block out
        if taken_at:
            stamp = taken_at.strftime("%Y:%m:%d %H:%M:%S")
            exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = stamp
        rgb = COLOURS[colour] if isinstance(colour, str) else colour
        Image.new("RGB", size, rgb).save(path, exif=exif)
        return path

    return paint


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with random weights, small enough to load at once."""
    import torch

    from encoder import AlignConfig, AlignModel, Preprocessor, TextConfig, VisionConfig
    from encoder.towers import save
    from encoder.training import train_tokenizer

    tokenizer = train_tokenizer(["a red cat", "a blue dog"], vocab_size=120)
    torch.manual_seed(0)
    model = AlignModel(
        AlignConfig(
            TextConfig(
                vocab_size=tokenizer.get_vocab_size(),
                hidden_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                intermediate_size=32,
            ),
            VisionConfig(
                width_coefficient=1.0,
                depth_coefficient=1.0,
                kernel_sizes=(3,),
                in_channels=(8,),
                out_channels=(16,),
                strides=(1,),
                num_block_repeats=(1,),
                expand_ratios=(1,),
            ),
            projection_dim=16,
        )
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save(folder, model, Preprocessor(size=(16, 16)), tokenizer.to_str())
    return folder
