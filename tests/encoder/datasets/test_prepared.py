from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from encoder import DatasetError, Preprocessor
from encoder.datasets import Dataset, Example, StoredPicture, prepare_pictures, prepared
from tests.encoder.deadly import Deadly

SMALL = Preprocessor(size=(12, 10), resample=Image.Resampling.BILINEAR)


def painted(folder: Path, count: int) -> Dataset:
    """`count` pictures, each of another colour."""
    examples = []
    for i in range(count):
        path = folder / f"{i}.png"
        Image.new("RGB", (20, 16), (i, 2 * i % 256, 255 - i)).save(path)
        examples.append(Example(StoredPicture(path.name, path), (f"number {i}",)))
    return Dataset("custom", "train", "by hand", tuple(examples))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("count", [5, 70])
def test_pictures_are_what_the_preprocessor_makes(count: int, tmp_path: Path, run: Path) -> None:
    done: list[int] = []
    dataset = painted(tmp_path, count)
    pictures = prepare_pictures(dataset, SMALL, run, advance=done.append)
    assert (len(pictures), sum(done)) == (count, count)
    for i, example in enumerate(dataset.examples):
        assert np.array_equal(pictures.pixels(i), SMALL.prepare(example.picture.open()))


def test_a_second_call_decodes_nothing(tmp_path: Path, run: Path) -> None:
    dataset = painted(tmp_path, 4)
    first = prepare_pictures(dataset, SMALL, run)
    for path in tmp_path.glob("*.png"):
        path.unlink()
    second = prepare_pictures(dataset, SMALL, run, advance=lambda n: pytest.fail("decoded"))
    assert np.array_equal(second.pixels(3), first.pixels(3))
    assert second.identity == first.identity


def test_pictures_that_are_not_kept_are_decoded_at_each_use(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = painted(tmp_path, 4)
    kept = prepare_pictures(dataset, SMALL, run)
    monkeypatch.setattr(prepared, "CACHE_BYTES", 4 * 12 * 10 * 3 - 1)
    other = tmp_path / "other"
    other.mkdir()
    for _ in range(2):
        pictures = prepare_pictures(dataset, SMALL, other)
        assert not (other / "pictures.npy").exists()
        assert pictures.identity == kept.identity
        assert np.array_equal(pictures.pixels(2), kept.pixels(2))


def test_pictures_with_equal_pixels_are_one_with_the_captions_of_all(
    tmp_path: Path, run: Path
) -> None:
    dataset = painted(tmp_path, 3)
    Image.open(tmp_path / "1.png").save(tmp_path / "again.bmp")
    copy = StoredPicture("again.bmp", tmp_path / "again.bmp")
    more = Example(copy, ("a second name", "number 1"))
    dataset = replace(dataset, examples=(more, *dataset.examples))
    pictures = prepare_pictures(dataset, SMALL, run)
    assert [example.captions for example in pictures.examples] == [
        ("a second name", "number 1"),
        ("number 0",),
        ("number 2",),
    ]
    assert np.array_equal(pictures.pixels(2), SMALL.prepare(dataset.examples[3].picture.open()))


def test_unreadable_pictures_are_counted_and_named_or_left_out(tmp_path: Path, run: Path) -> None:
    dataset = painted(tmp_path, 4)
    (tmp_path / "2.png").write_bytes(b"nonsense")
    with pytest.raises(DatasetError, match=r"1 of 4 .* 2.png \(not a picture .*--allow-missing"):
        prepare_pictures(dataset, SMALL, run)
    (tmp_path / "1.png").unlink()
    pictures = prepare_pictures(dataset, SMALL, run, allow_missing=True)
    # 1.png was decoded before it was deleted, and is kept
    assert [e.captions[0] for e in pictures.examples] == ["number 0", "number 1", "number 3"]
    assert np.array_equal(pictures.pixels(2), SMALL.prepare(dataset.examples[3].picture.open()))

    Image.new("RGB", (20, 16), "red").save(tmp_path / "2.png")
    mended = prepare_pictures(dataset, SMALL, run)
    assert len(mended) == 4
    assert mended.identity != pictures.identity


def test_another_picture_of_the_same_name_is_refused(tmp_path: Path, run: Path) -> None:
    dataset = painted(tmp_path, 4)
    prepare_pictures(dataset, SMALL, run)
    Image.new("RGB", (21, 16), "red").save(tmp_path / "2.png")
    with pytest.raises(
        DatasetError, match=r"2\.png has changed since it was decoded into .*new folder"
    ):
        prepare_pictures(dataset, SMALL, run)


def test_a_picture_that_vanishes_and_was_not_kept(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared, "CACHE_BYTES", 10)
    dataset = painted(tmp_path, 4)
    pictures = prepare_pictures(dataset, SMALL, run)
    (tmp_path / "1.png").unlink()
    with pytest.raises(DatasetError, match=r"1\.png can no longer be read .*put it back"):
        pictures.pixels(1)
    with pytest.raises(DatasetError, match=r"1 of 4 .*1\.png \(not there\)"):
        prepare_pictures(dataset, SMALL, run)
    assert len(prepare_pictures(dataset, SMALL, run, allow_missing=True)) == 3


def test_a_call_that_decodes_nothing_writes_nothing(tmp_path: Path, run: Path) -> None:
    """Processes after the first one must not write files that others read."""
    dataset = painted(tmp_path, 4)
    (tmp_path / "2.png").write_bytes(b"nonsense")
    prepare_pictures(dataset, SMALL, run, allow_missing=True)
    before = {path: path.stat().st_mtime_ns for path in run.iterdir()}
    prepare_pictures(dataset, SMALL, run, allow_missing=True)
    assert {path: path.stat().st_mtime_ns for path in run.iterdir()} == before


def test_missing_files_are_refused_before_anything_is_decoded(tmp_path: Path, run: Path) -> None:
    dataset = painted(tmp_path, 6)
    for i in range(5):
        (tmp_path / f"{i}.png").unlink()
    said = r"5 of 6 pictures .*: 0.png \(not there\), .* and 2 more; repair them"
    with pytest.raises(DatasetError, match=said):
        prepare_pictures(dataset, SMALL, run, advance=lambda n: pytest.fail("decoded"))
    assert len(prepare_pictures(dataset, SMALL, run, allow_missing=True)) == 1
    (tmp_path / "5.png").unlink()
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(DatasetError, match="6 of 6 pictures cannot be read"):
        prepare_pictures(dataset, SMALL, other, allow_missing=True)


def test_a_picture_that_crashes_its_decoder_is_named(tmp_path: Path, run: Path) -> None:
    dataset = painted(tmp_path, 20)
    examples = (*dataset.examples[:12], Example(Deadly("worst.png"), ("x",)))
    examples += dataset.examples[12:]
    dataset = replace(dataset, examples=examples)
    with pytest.raises(DatasetError) as caught:
        prepare_pictures(dataset, SMALL, run)
    assert str(caught.value) == (
        "1 of 21 pictures cannot be read: worst.png (crashed the decoder (exit status 1)); repair"
        " them, or leave them out with --allow-missing"
    )
    assert len(prepare_pictures(dataset, SMALL, run, allow_missing=True)) == 20


def test_a_picture_that_crashes_its_decoder_later_is_named_too(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared, "CACHE_BYTES", 10)
    dataset = painted(tmp_path, 2)
    pictures = prepare_pictures(dataset, SMALL, run)
    pictures.examples = (dataset.examples[0], Example(Deadly("worst.png"), ("x",)))
    with pytest.raises(DatasetError, match=r"worst\.png can no longer be read \(crashed"):
        pictures.pixels(1)
    picture = dataset.examples[0].picture
    assert np.array_equal(pictures.pixels(0), SMALL.prepare(picture.open()))


def test_other_pictures_in_the_same_folder_are_refused(tmp_path: Path, run: Path) -> None:
    dataset = painted(tmp_path, 4)
    prepare_pictures(dataset, SMALL, run)
    fewer = replace(dataset, examples=dataset.examples[1:])
    for other, size in ((fewer, (12, 10)), (dataset, (9, 9))):
        with pytest.raises(DatasetError, match="other pictures, or these in another size"):
            prepare_pictures(other, replace(SMALL, size=size), run)
