"""Two towers brought together before training, and what is computed once for it and kept."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from encoder import CheckpointError, EncoderError
from encoder.datasets import labelled_folder, prepare_pictures
from encoder.training import (
    Augmentation,
    DrawnViews,
    Start,
    class_probabilities,
    fit_projections,
    from_towers,
    keep_texts,
    keep_views,
    phrases,
    read_classifier,
)
from encoder.training.fitting import PICTURE_PENALTY, TEXT_PENALTY
from encoder.training.kept import head_features
from tests.encoder.foreign_towers import lite, lite_features, write_bert, write_lite

LABELS = ("cat", "a cat", "ab on", "7")
TEMPLATES = ("a {}", "{} on é")


@pytest.fixture
def start(tmp_path: Path) -> Start:
    write_bert(tmp_path / "bert")
    return from_towers(write_lite(tmp_path / "lite.pth"), tmp_path / "bert", image_size=32)


@pytest.fixture
def views(start: Start, tmp_path: Path) -> DrawnViews:
    """Eight pictures with four labels."""
    rng = np.random.default_rng(0)
    (tmp_path / "run").mkdir()
    for number in range(8):
        folder = tmp_path / "pictures" / LABELS[number % 4].replace("7", "seven")
        folder.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(noise).resize((50, 40)).save(folder / f"{number}.png")
    augmentation = Augmentation(start.preprocessor, 0.5, flip=True)
    dataset = labelled_folder(tmp_path / "pictures")
    pictures = prepare_pictures(dataset, augmentation.kept, tmp_path / "run")
    return DrawnViews(pictures, augmentation)


def whole(start: Start, views: DrawnViews) -> torch.Tensor:
    """The pictures as they are embedded, (n, 3, h, w)."""
    pictures = [Image.fromarray(views.pictures.pixels(i)) for i in range(len(views.examples))]
    pixels = np.stack([start.preprocessor.prepare(picture) for picture in pictures])
    return torch.from_numpy(start.preprocessor.to_floats(pixels))


def ridge(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """What ridge regression predicts for `x`: least squares with rows that ask for small weights,
    and a column of ones, which they leave alone."""
    size = x.shape[1]
    scale = (penalty * np.square(x - x.mean(0)).sum(0).mean()) ** 0.5
    rows = np.block([[x, np.ones((len(x), 1))], [scale * np.eye(size), np.zeros((size, 1))]])
    solution = np.linalg.lstsq(rows, np.vstack([y, np.zeros((size, y.shape[1]))]))[0]
    return rows[: len(x)] @ solution


def every_text(views: DrawnViews) -> list[str]:
    return [text for some in phrases(views, TEMPLATES) for text in some]


def test_projections_are_those_of_least_squares(
    start: Start, views: DrawnViews, tmp_path: Path
) -> None:
    kept = keep_texts(start, every_text(views), tmp_path / "texts.npy")
    fit_projections(start, [(views, TEMPLATES)], kept, tmp_path / "run")
    seen = lite_features(lite(), whole(start, views)).double().numpy()

    labels = [example.captions[0] for example in views.examples]
    texts = [template.replace("{}", label) for label in labels for template in TEMPLATES]
    ids, mask = (torch.from_numpy(x) for x in start.tokenizer()(texts))
    with torch.no_grad():
        hidden = start.model.text_model.eval()(ids, mask)
        embedded = start.model.get_text_features(ids, mask).double().numpy()
        pictures = start.model.eval().get_image_features(whole(start, views)).double().numpy()
    np.testing.assert_allclose(kept(texts), hidden[:, 0], atol=1e-5)
    means = F.normalize(
        torch.stack([row[: int(m.sum())].mean(0) for row, m in zip(hidden, mask, strict=True)]),
        dim=-1,
    )
    targets = means.view(len(labels), len(TEMPLATES), -1).mean(1).double().numpy()
    np.testing.assert_allclose(pictures, ridge(seen, targets, PICTURE_PENALTY), atol=1e-4)
    once = [texts.index(text) for text in dict.fromkeys(texts)]
    expected = ridge(hidden[once, 0].double().numpy(), means[once].double().numpy(), TEXT_PENALTY)
    np.testing.assert_allclose(embedded[once], expected, atol=1e-4)
    assert np.ptp(expected, axis=0).max() > 0.1


def test_a_classifier_tells_classes(views: DrawnViews, start: Start, tmp_path: Path) -> None:
    classifier = read_classifier(tmp_path / "lite.pth", image_size=32)
    names = [f"class {n}" for n in range(10)]
    path = tmp_path / "run" / "features.npy"
    told = class_probabilities(classifier, names, views, path)
    weights = lite()
    features = lite_features(weights, whole(start, views))
    np.testing.assert_allclose(np.load(path), features, rtol=1e-4, atol=1e-4)
    expected = (features @ weights["_fc.weight"].T + weights["_fc.bias"]).softmax(-1)
    np.testing.assert_allclose(told.probabilities, expected, atol=1e-4)
    assert told.names == tuple(names)
    others = class_probabilities(classifier, names[::-1], views, path)
    assert told.identity != others.identity
    with pytest.raises(EncoderError, match="9 names for the 10 classes"):
        class_probabilities(classifier, names[1:], views, path)
    torch.save({n: t for n, t in weights.items() if "_fc" not in n}, tmp_path / "headless.pth")
    with pytest.raises(CheckpointError, match="has no classifier"):
        read_classifier(tmp_path / "headless.pth")


def test_features_of_a_tower_are_those_of_its_classifier_and_not_computed_again(
    start: Start, views: DrawnViews, tmp_path: Path
) -> None:
    classifier = read_classifier(tmp_path / "lite.pth", image_size=32)
    path = tmp_path / "run" / "features-0.npy"
    kept = keep_texts(start, every_text(views), tmp_path / "texts.npy")
    fit_projections(start, [(views, TEMPLATES)], kept, tmp_path / "run")
    done: list[int] = []
    head_features(
        classifier.tower,
        classifier.preprocessor,
        views,
        path,
        progress=lambda what, rows, count: done.append(rows),
    )
    assert done == [8]


def test_kept_views_are_what_frozen_stages_make_of_views(
    start: Start, views: DrawnViews, tmp_path: Path
) -> None:
    path = tmp_path / "run" / "views.npy"
    kept = keep_views(start, views, stages=3, count=5, path=path, seed=7)
    array = np.load(path).reshape(5, 8, 4, 4, 40)
    assert array.dtype == np.float16
    for view, index in ((0, 0), (2, 5), (4, 7)):
        pixels = views.view(index, "", np.random.default_rng((7, view, index)))
        x = torch.from_numpy(start.preprocessor.to_floats(pixels[None]))
        with torch.no_grad():
            for module in start.model.eval().vision_model.first_stages(3):
                x = module(x)
            expected = start.model.vision_model.after_stages(x, 3)
            rest = torch.from_numpy(array[view, index][None].astype(np.float32)).movedim(3, 1)
            found = start.model.vision_model.after_stages(rest, 3)
        np.testing.assert_allclose(array[view, index], x[0].permute(1, 2, 0), rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(found, expected, atol=2e-2)
        np.testing.assert_allclose(
            start.model.vision_model(torch.from_numpy(start.preprocessor.to_floats(pixels[None])))
            .detach()
            .numpy(),
            expected,
            atol=1e-6,
        )
    drawn = {kept.view(3, "", np.random.default_rng(n)).tobytes() for n in range(60)}
    assert drawn == {array[view, 3].tobytes() for view in range(5)}
    other = keep_views(start, views, stages=3, count=5, path=path, seed=8)
    assert kept.identity != other.identity
    assert not np.array_equal(np.load(path).reshape(array.shape), array)


def test_views_that_are_kept_are_not_drawn_again(
    start: Start, views: DrawnViews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("encoder.training.kept.AT_ONCE", 4)
    monkeypatch.setattr("encoder.training.kept.SAVED_EVERY", 0.0)
    path = tmp_path / "views.npy"

    class Stopped(Exception):
        pass

    def stop(what: str, done: int, count: int) -> None:
        if done == 12:
            raise Stopped

    with pytest.raises(Stopped):
        keep_views(start, views, stages=2, count=3, path=path, seed=0, progress=stop)
    steps: list[int] = []
    for expected in ([8, 12, 16, 20, 24], [24]):
        steps.clear()
        keep_views(
            start,
            views,
            stages=2,
            count=3,
            path=path,
            seed=0,
            progress=lambda what, done, count: steps.append(done),
        )
        assert steps == expected
    again = tmp_path / "again.npy"
    keep_views(start, views, stages=2, count=3, path=again, seed=0)
    assert np.array_equal(np.load(path), np.load(again))


def test_a_disk_without_room_is_told_before_anything_is_written(
    start: Start, views: DrawnViews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("encoder.training.kept.SPARE", 1 << 60)
    path = tmp_path / "views.npy"
    with pytest.raises(EncoderError, match=r"views\.npy needs .* keep fewer views"):
        keep_views(start, views, stages=2, count=3, path=path, seed=0)
    assert not path.exists()


def test_a_lost_file_is_computed_again(start: Start, views: DrawnViews, tmp_path: Path) -> None:
    path = tmp_path / "views.npy"
    keep_views(start, views, stages=2, count=2, path=path, seed=0)
    array = np.load(path)
    path.unlink()
    keep_views(start, views, stages=2, count=2, path=path, seed=0)
    assert np.array_equal(np.load(path), array)
