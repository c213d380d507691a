"""`evaluate` on datasets built by hand, with an encoder that a reader can compute."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from encoder import FakeEncoder
from encoder.datasets import Dataset, Example, StoredPicture, decode_picture
from encoder.errors import DatasetError
from encoder.fake import COLOURS
from indexer import NullProgress
from retrieval.evaluation import evaluate
from tests.encoder.deadly import Deadly
from tests.retrieval.evaluation.patches import Forbidden, Patch


class Counting(FakeEncoder):
    """Remembers the sizes of its batches of pictures, and its texts."""

    def __init__(self, fingerprint: str = "fa4e") -> None:
        super().__init__(fingerprint=fingerprint)
        self.batches: list[int] = []
        self.texts: list[str] = []

    def encode_images(self, pictures: Any) -> Any:
        self.batches.append(len(pictures))
        return super().encode_images(pictures)

    def encode_texts(self, texts: Any) -> Any:
        self.texts += texts
        return super().encode_texts(texts)


def custom(*examples: Example, **more: Any) -> Dataset:
    return replace(Dataset("custom", "test", "by hand", examples), **more)


def of_colours(*captions: tuple[str, ...]) -> Dataset:
    """One picture for each of the first colours, with these captions."""
    return custom(
        *(
            Example(Patch(name, COLOURS[name]), own)
            for name, own in zip(COLOURS, captions, strict=False)
        )
    )


@pytest.fixture
def photos(tmp_path: Path) -> Dataset:
    """red.png, green.png, blue.png and yellow.png with two captions each."""
    examples = []
    for name in ("red", "green", "blue", "yellow"):
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (12, 8), COLOURS[name]).save(path)
        examples.append(Example(StoredPicture(path.name, path), (f"a {name} one", f"some {name}")))
    return custom(*examples)


def figures(evaluation: Any) -> list[Any]:
    """The figures that are the same in every run."""
    return [
        (dict(d.recall), d.median_rank, d.mean_rank)
        for d in (evaluation.report.exact.text_to_image, evaluation.report.exact.image_to_text)
    ]


def test_ranks_computed_by_hand() -> None:
    dataset = of_colours(("red", "more red"), ("green", "blue"), ("blue",))
    found = evaluate(FakeEncoder(), dataset, ks=(1, 2, 3))
    # The caption "blue" of the green picture: blue is first, and red ties with green.
    assert found.text_ranks.tolist() == [1, 1, 1, 3, 1]
    # Green finds "green" first; blue's two texts tie, and the wrong one counts.
    assert found.image_ranks.tolist() == [1, 1, 2]
    report = found.report
    assert figures(found) == [
        ({1: 0.8, 2: 0.8, 3: 1.0}, 1.0, 1.4),
        ({1: 2 / 3, 2: 1.0, 3: 1.0}, 1.0, pytest.approx(4 / 3)),
    ]
    assert report.exact.rsum == pytest.approx(260 + 800 / 3)
    (miss,) = found.misses
    assert (miss.caption, miss.image, miss.rank, miss.first[0]) == ("blue", 1, 3, 2)


def test_the_report_says_what_was_measured() -> None:
    dataset = replace(of_colours(("red",), ("green",)), notes=("The reader saw something.",))
    encoder = FakeEncoder("fake", "0123abcd")
    encoder.revision = "c0ffee"
    report = evaluate(encoder, dataset).report
    assert (report.dataset, report.split, report.layout) == ("custom", "test", "by hand")
    assert (report.images, report.captions, report.caption_rule, report.folds) == (2, 2, "all", 1)
    assert (report.model, report.fingerprint, report.revision) == ("fake", "0123abcd", "c0ffee")
    assert report.preprocessing == "8x8 box"
    assert (report.index, report.approximate) == (None, None)
    assert report.notes == ("The reader saw something.",)
    assert report.seconds > 0
    for direction in (report.exact.text_to_image, report.exact.image_to_text):
        assert list(direction.recall) == [1, 5, 10]
        assert direction.milliseconds > 0


def test_equal_embeddings_earn_nothing() -> None:
    dataset = of_colours(*[(f"a red thing {i}",) for i in range(8)])
    found = evaluate(FakeEncoder(), dataset, ks=(1, 7))
    assert found.report.exact.image_to_text.recall == {1: 0.0, 7: 0.0}


def test_the_first_five_or_all_captions() -> None:
    six = ("blue", "blue 2", "blue 3", "blue 4", "blue 5", "green")
    dataset = of_colours(("red",), six, ("blue 6",))
    everything = evaluate(FakeEncoder(), dataset).report
    first = evaluate(FakeEncoder(), dataset, captions="first5").report
    assert (everything.captions, everything.caption_rule, everything.notes) == (8, "all", ())
    assert (first.captions, first.caption_rule) == (7, "first5")
    assert first.notes == ("The first five captions of each picture count; left out: 1.",)
    assert everything.exact.image_to_text.recall[1] == 2 / 3  # only its sixth caption fits green
    assert first.exact.image_to_text.recall[1] == 1 / 3


def test_copies_of_a_picture_are_no_misses() -> None:
    red = COLOURS["red"]
    dataset = custom(
        Example(Patch("one", red), ("red",)),
        Example(Patch("copy", red), ("red and more",)),
        Example(Patch("other", COLOURS["green"]), ("green", "green")),
    )
    encoder = Counting()
    found = evaluate(encoder, dataset, batch_size=1)
    assert found.text_ranks.tolist() == [1, 1, 1, 1]
    assert found.image_ranks.tolist() == [1, 1, 1]
    assert found.report.notes == (
        "Copies of other pictures: 1; the captions of one are right for the other.",
        "Captions that repeat another one word for word: 1.",
    )
    assert encoder.batches == [1, 1]
    assert sorted(encoder.texts) == ["green", "red", "red and more"]


def test_a_second_run_embeds_nothing_and_finds_the_same(photos: Dataset, tmp_path: Path) -> None:
    first, second, without = Counting(), Counting(), Counting()
    once = evaluate(first, photos, cache=tmp_path / "cache", batch_size=3, index="ivf")
    again = evaluate(second, photos, cache=tmp_path / "cache", index="ivf")
    assert first.batches == [3, 1]
    assert len(first.texts) == 8
    assert (second.batches, second.texts) == ([], [])
    assert figures(again) == figures(once) == figures(evaluate(without, photos))
    assert again.report.notes == once.report.notes

    changed = photos.examples[0].picture
    assert isinstance(changed, StoredPicture)
    Image.new("RGB", (12, 8), (9, 9, 9)).save(changed.path)
    third = Counting()
    evaluate(third, photos, cache=tmp_path / "cache")
    assert (third.batches, third.texts) == ([1], [])

    other = Counting(fingerprint="0the4")
    evaluate(other, photos, cache=tmp_path / "cache")
    assert (other.batches, len(other.texts)) == ([4], 8)


def test_what_was_embedded_before_an_interruption_is_kept(photos: Dataset, tmp_path: Path) -> None:
    class Interrupted(Counting):
        def encode_images(self, pictures: Any) -> Any:
            if self.batches:
                raise KeyboardInterrupt
            return super().encode_images(pictures)

    with pytest.raises(KeyboardInterrupt):
        evaluate(Interrupted(), photos, cache=tmp_path / "cache", batch_size=3)
    encoder = Counting()
    evaluate(encoder, photos, cache=tmp_path / "cache", batch_size=3)
    assert encoder.batches == [1]


def test_missing_pictures_are_refused_before_any_work(photos: Dataset, tmp_path: Path) -> None:
    gone = [Example(StoredPicture(f"{i}.jpg", tmp_path / f"{i}.jpg"), ("x",)) for i in range(4)]
    dataset = custom(gone[0], *photos.examples, *gone[1:])
    encoder = Counting()
    with pytest.raises(DatasetError) as refused:
        evaluate(encoder, dataset)
    assert str(refused.value) == (
        "4 of 8 pictures are not there (0.jpg, 1.jpg, 2.jpg and others): check --images, or leave"
        " them out with --allow-missing"
    )
    assert (encoder.batches, encoder.texts) == ([], [])

    found = evaluate(encoder, dataset, allow_missing=True)
    assert figures(found) == figures(evaluate(FakeEncoder(), photos))
    assert found.report.images == 4
    assert found.report.notes == (
        "Pictures left out because they are not there: 4 (0.jpg, 1.jpg, 2.jpg and others).",
    )
    with pytest.raises(DatasetError, match="4 of 4 pictures are not there"):
        evaluate(encoder, custom(*gone), allow_missing=True)
    with pytest.raises(DatasetError, match="no pictures"):
        evaluate(encoder, custom())


def test_pictures_that_cannot_be_decoded_count_as_missing(photos: Dataset, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    bad = Example(StoredPicture("bad.jpg", tmp_path / "bad.jpg"), ("green", "never green"))
    # The miss after the bad picture shows that numbers of examples do not change.
    odd = Example(Patch("odd", (1, 2, 3)), ("a red one",))
    dataset = custom(photos.examples[0], bad, *photos.examples[1:], odd)
    with pytest.raises(DatasetError, match=r"^bad\.jpg cannot be read \(.+\): .*--allow-missing$"):
        evaluate(FakeEncoder(), dataset)
    found = evaluate(FakeEncoder(), dataset, allow_missing=True)
    sound = evaluate(FakeEncoder(), custom(*photos.examples, odd))
    assert figures(found) == figures(sound)
    assert found.report.notes == (
        "Pictures left out because they cannot be read: 1 (bad.jpg).",
        *sound.report.notes,
    )
    assert [miss.image for miss in sound.misses] == [4]
    assert [miss.image for miss in found.misses] == [5]
    with pytest.raises(DatasetError, match="no pictures"):
        evaluate(FakeEncoder(), custom(bad), allow_missing=True)


def test_pictures_that_may_not_be_read_count_as_missing(photos: Dataset) -> None:
    dataset = custom(*photos.examples, Example(Forbidden("secret", (0, 0, 0)), ("black",)))
    with pytest.raises(DatasetError, match=r"^secret cannot be read \(Permission denied\): "):
        evaluate(FakeEncoder(), dataset)
    found = evaluate(FakeEncoder(), dataset, allow_missing=True)
    assert found.report.notes == ("Pictures left out because they cannot be read: 1 (secret).",)


def test_few_pictures_are_in_memory_at_once(
    five_thousand: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []

    def counted(*arguments: Any) -> Any:
        decoded.append(1)
        return decode_picture(*arguments)

    monkeypatch.setattr("retrieval.evaluation.embedding.decode_picture", counted)

    class Watching(Counting):
        def encode_images(self, pictures: Any) -> Any:
            assert len(decoded) <= sum(self.batches) + 3 * 10 + 1
            return super().encode_images(pictures)

    encoder = Watching()
    evaluate(encoder, custom(*five_thousand.examples[:200]), batch_size=10)
    assert encoder.batches == [10] * 20
    assert len(decoded) == 200


def test_a_picture_that_crashes_its_decoder_counts_as_missing(photos: Dataset) -> None:
    dataset = custom(*photos.examples, Example(Deadly("worst.png"), ("black",)))
    with pytest.raises(
        DatasetError, match=r"^worst\.png cannot be read \(crashed the decoder \(exit status 1\)\)"
    ):
        evaluate(FakeEncoder(), dataset)
    found = evaluate(FakeEncoder(), dataset, allow_missing=True)
    assert figures(found) == figures(evaluate(FakeEncoder(), photos))
    assert found.report.notes == ("Pictures left out because they cannot be read: 1 (worst.png).",)


def test_sizes_that_are_not_the_standard_ones_are_noted() -> None:
    dataset = replace(of_colours(("red",), ("green", "a green one")), name="flickr30k")
    (note,) = evaluate(FakeEncoder(), dataset).report.notes
    assert note == (
        "Not the standard flickr30k test of 1,000 pictures and 5,000 captions: this one has 2 and"
        " 3."
    )


@pytest.fixture(scope="module")
def five_thousand() -> Dataset:
    """Pictures of different colours. The embedding of a caption comes from its hash."""
    rng = np.random.default_rng(0)
    colours = np.unique(rng.integers(0, 256, (6000, 3)), axis=0)[:5000]
    rng.shuffle(colours)
    return custom(
        *(
            Example(Patch(str(i), tuple(colour)), (f"caption {i}",))
            for i, colour in enumerate(colours.tolist())
        )
    )


def test_five_folds_are_five_blocks_of_a_thousand(five_thousand: Dataset) -> None:
    found = evaluate(FakeEncoder(), five_thousand, folds=5, ks=(1, 100), batch_size=500)
    parts = [
        evaluate(FakeEncoder(), custom(*five_thousand.examples[start : start + 1000]), ks=(1, 100))
        for start in range(0, 5000, 1000)
    ]
    assert found.report.folds == 5
    assert found.report.images == 5000
    assert found.text_ranks.tolist() == [r for part in parts for r in part.text_ranks.tolist()]
    for way in ("text_to_image", "image_to_text"):
        ours = getattr(found.report.exact, way)
        theirs = [getattr(part.report.exact, way) for part in parts]
        assert ours.recall[100] == pytest.approx(np.mean([d.recall[100] for d in theirs]))
        assert ours.mean_rank == pytest.approx(np.mean([d.mean_rank for d in theirs]))
    worst = found.misses[0]
    assert all(first // 1000 == worst.image // 1000 for first in worst.first)


def test_five_folds_of_other_sizes_are_refused(five_thousand: Dataset) -> None:
    encoder = Counting()
    for dataset in (custom(*five_thousand.examples[1:]), of_colours(("red",), ("green",))):
        with pytest.raises(DatasetError, match="5 folds of 1,000 need 5,000 pictures"):
            evaluate(encoder, dataset, folds=5)
    assert encoder.batches == []


def test_an_index_too_small_for_lists_is_flat_and_says_so() -> None:
    dataset = of_colours(("red",), ("green", "a green one"), ("blue",))
    encoder = Counting()
    report = evaluate(encoder, dataset, index="ivf").report
    assert (report.index.kind, report.index.image_lists) == ("flat", None)
    assert report.approximate.text_to_image.recall == report.exact.text_to_image.recall
    assert report.notes == (
        "The index of pictures is flat: there are too few pictures for an IVF index.",
        "The index of captions is flat: there are too few captions for an IVF index.",
    )
    assert len(encoder.texts) == 4


def test_lists_of_pictures_are_tuned_with_phrases_not_with_captions(
    five_thousand: Dataset, tmp_path: Path
) -> None:
    dataset = custom(*five_thousand.examples[:300])
    encoder, again = Counting(), Counting()
    report = evaluate(encoder, dataset, index="ivf", cache=tmp_path).report
    assert report.index.kind == "ivf"
    assert (report.index.image_lists or ())[:1] == (4,)
    assert len(encoder.texts) == 300 + 500
    evaluate(again, dataset, index="ivf", cache=tmp_path)
    assert again.texts == []


def test_progress_reports_steps_that_add_up(photos: Dataset, five_thousand: Dataset) -> None:
    told: list[Any] = []

    class Listening(NullProgress):
        def start(self, total: int, what: str) -> None:
            told.append([what, total, 0])

        def advance(self, steps: int) -> None:
            told[-1][2] += steps

    evaluate(FakeEncoder(), photos, index="flat", progress=Listening())
    assert told == [["pictures", 4, 4], ["captions", 8, 8], ["searches", 12, 12]]
    told.clear()
    evaluate(FakeEncoder(), custom(*five_thousand.examples[:70]), index="ivf", progress=Listening())
    assert [[total, done] for _, total, done in told] == [
        [70, 70],
        [70, 70],
        [500, 500],
        [140, 140],
    ]


@pytest.mark.parametrize("ks", [(), (0, 1)])
def test_ks_below_one_are_refused(photos: Dataset, ks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        evaluate(FakeEncoder(), photos, ks=ks)


def test_embeddings_of_two_precisions_are_not_mixed(photos: Dataset, tmp_path: Path) -> None:
    """Neither is that of an encoder that says none."""

    class Precise(Counting):
        precision = "float32 on cpu"

    class Half(Counting):
        precision = "bfloat16 on cpu"

    reports = [
        evaluate(encoder, photos, cache=tmp_path / "cache").report
        for encoder in (Precise(), Half(), Counting())
    ]
    assert [report.computed for report in reports] == [
        *("float32 on cpu", "bfloat16 on cpu", "unknown")
    ]
    assert {"torch", "faiss-cpu", "numpy"} <= reports[0].versions.keys()
    for kind in (Precise, Half, Counting):
        again = kind()
        evaluate(again, photos, cache=tmp_path / "cache")
        assert (again.batches, again.texts) == ([], [])
    files = {path.name for path in (tmp_path / "cache").glob("*-texts.f32")}
    assert files == {
        "fa4e-texts.f32",
        "fa4e-float32-on-cpu-texts.f32",
        "fa4e-bfloat16-on-cpu-texts.f32",
    }
