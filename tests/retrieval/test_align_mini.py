"""How well the bundled model finds scenes that it never saw."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from encoder import AlignEncoder, load_encoder
from encoder.datasets import Dataset, Example
from encoder.datasets.drawn import ScenePicture
from encoder.scenes import HELD_OUT, KINDS, Pairs, make_scene
from encoder.scenes.captions import article
from indexer import Library
from retrieval import Engine
from retrieval.cli import main
from retrieval.evaluation import dataset_recall

FRESH = 30_000_000
"""The first seed; training, its evaluation and the demo use others, far away."""


@pytest.fixture(scope="module")
def mini() -> AlignEncoder:
    return load_encoder("align-mini", device="cpu")


def fresh(count: int, pairs: Pairs) -> Dataset:
    """Scenes with one full caption each."""
    examples = (
        Example(ScenePicture(seed, pairs), (make_scene(seed, pairs).full_caption(),))
        for seed in range(FRESH, FRESH + count)
    )
    return Dataset("scenes", "fresh", "drawn", tuple(examples))


def test_recall_on_a_thousand_unseen_scenes(mini: AlignEncoder) -> None:
    found = dataset_recall(fresh(1000, "seen"))(mini)
    assert found["text_to_image@1"] >= 0.98
    assert found["text_to_image@10"] >= 0.999
    assert found["image_to_text@1"] >= 0.98
    assert found["image_to_text@10"] >= 0.999


def test_recall_on_pairs_that_training_never_showed(mini: AlignEncoder) -> None:
    scenes = [make_scene(seed, "held-out") for seed in range(FRESH, FRESH + 300)]
    assert all((s.things[0].colour, s.things[0].kind) in HELD_OUT for s in scenes)
    found = dataset_recall(fresh(300, "held-out"))(mini)
    assert found["text_to_image@1"] >= 0.9
    assert found["image_to_text@1"] >= 0.9


def test_single_things_are_named_right(mini: AlignEncoder) -> None:
    """Colours and backgrounds tell most scenes apart, so recall says little about shapes."""
    scenes = [make_scene(seed, "seen") for seed in range(FRESH, FRESH + 1500)]
    alone = [s for s in scenes if len(s.things) == 1 and s.things[0].count == 1][:200]
    images = mini.encode_images([mini.prepare(scene.draw(224)) for scene in alone])
    names = mini.encode_texts([article(kind) for kind in KINDS])
    named = [KINDS[i] for i in (images @ names.T).argmax(1)]
    right = [scene.things[0].kind for scene in alone]
    assert len(alone) == 200
    assert np.mean([a == b for a, b in zip(named, right, strict=True)]) >= 0.9


def test_captions_find_their_scenes_through_the_whole_path(
    mini: AlignEncoder, tmp_path: Path
) -> None:
    """Through files on disk, the library and FAISS; the files are JPEG, as from a camera."""
    scenes = [make_scene(seed) for seed in range(2 * FRESH, 2 * FRESH + 200)]
    for i, scene in enumerate(scenes):
        scene.draw(256).save(tmp_path / f"{i:03}.jpg", quality=90)
    with Library.create(tmp_path) as library:
        report = library.index([tmp_path], lambda: mini)
    assert (report.added, report.failed) == (200, 0)
    with Engine(Library.open(tmp_path), lambda name: mini) as engine:
        ranks = []
        for i, scene in enumerate(scenes):
            names = [hit.path.name for hit in engine.search(scene.full_caption(), k=10)]
            ranks.append(names.index(f"{i:03}.jpg") if f"{i:03}.jpg" in names else None)
        assert np.mean([rank is not None for rank in ranks]) >= 0.98
    first = CliRunner().invoke(
        main, ["search", scenes[0].full_caption(), "--library", str(tmp_path)]
    )
    assert "000.jpg" in first.stdout


@pytest.mark.parametrize(
    ("query", "other"),
    [("a grene cat", "a green cat"), ("a cat qwzx", "a cat"), ("CAT", "cat"), ("", "猫")],
)
def test_unknown_words_degrade_gracefully(mini: AlignEncoder, query: str, other: str) -> None:
    one, two = mini.encode_texts([query, other])
    assert np.isfinite(one).all()
    if query and other.isascii():
        strange = mini.encode_texts(["two purple bicycles in the snow"])[0]
        assert one @ two > one @ strange + 0.2


def test_photographs_are_indexed_and_orientations_agree(
    mini: AlignEncoder, data_dir: Path, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(data_dir / "coco_photos" / "images", tmp_path / "coco")
    shutil.copytree(data_dir / "exif_orientation", tmp_path / "exif")
    with Library.create(tmp_path) as library:
        report = library.index([tmp_path], lambda: mini)
        assert (report.added, report.failed) == (52 + 18, 0)
        again = library.index([tmp_path], lambda: pytest.fail("nothing is to be embedded"))
        assert (again.unchanged, again.embedded) == (70, 0)
    from encoder import read_picture

    for shape in ("Landscape", "Portrait"):
        paths = sorted((data_dir / "exif_orientation").glob(f"{shape}_*.jpg"))
        rows = mini.encode_images([read_picture(path).image for path in paths])
        upright = rows[[path.stem for path in paths].index(f"{shape}_1")]
        assert len(rows) == 9
        assert (rows @ upright).min() > 0.99
