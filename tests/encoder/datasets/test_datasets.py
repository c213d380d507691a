"""Karpathy's and COCO's files, splits, lists of names, and what is refused."""

import builtins
import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from encoder import DatasetError
from encoder.datasets import (
    DATASETS,
    Dataset,
    StoredPicture,
    drawn_scenes,
    open_dataset,
    standard_size,
)


def opened(
    annotations: Path,
    name: str = "custom",
    *,
    images: Path | None = None,
    split: str | None = None,
    names: Path | None = None,
    limit: int | None = None,
) -> Dataset:
    return open_dataset(
        name, annotations=annotations, images=images, split=split, names=names, limit=limit
    )


def contents(dataset: Dataset) -> list[tuple[str, tuple[str, ...]]]:
    return [(example.picture.name, example.captions) for example in dataset.examples]


def karpathy(file: Path, images: list[dict[str, Any]], dataset: str = "coco") -> Path:
    """Write Karpathy's file, from images with the key `raws` instead of `sentences`."""
    sentids = iter(range(1_000_000))
    written: list[dict[str, Any]] = []
    for imgid, image in enumerate(images):
        sentences = [
            {"tokens": raw.lower().split(), "raw": raw, "imgid": imgid, "sentid": next(sentids)}
            for raw in image["raws"]
        ]
        ids = [sentence["sentid"] for sentence in sentences]
        given = {key: value for key, value in image.items() if key != "raws"}
        written.append({**given, "imgid": imgid, "sentids": ids, "sentences": sentences})
    file.write_text(json.dumps({"images": written, "dataset": dataset}))
    return file


SPLITS = ("test", "train", "restval", "val", "restval", "test", "train")


@pytest.fixture
def coco_json(tmp_path: Path) -> Path:
    """Seven pictures in all four splits; the first of the two in `test` has six captions."""
    images = [
        {
            "filepath": "val2014" if split != "train" else "train2014",
            "filename": f"COCO_{n}.jpg",
            "cocoid": 1000 - n,
            "split": split,
            "raws": [f" caption {i} of {n}.\n" for i in range(6 if n == 0 else 5)],
        }
        for n, split in enumerate(SPLITS)
    ]
    return karpathy(tmp_path / "dataset_coco.json", images)


@pytest.fixture
def flickr_json(tmp_path: Path) -> Path:
    images = [
        {"filename": f"{n}.jpg", "split": split, "raws": ["a dog", "a dog", f"dog {n}"]}
        for n, split in [(7, "val"), (3, "test"), (5, "test"), (1, "train")]
    ]
    return karpathy(tmp_path / "dataset_flickr30k.json", images, "flickr30k")


def test_coco_pictures_lie_in_filepath_and_keep_all_six_captions(coco_json: Path) -> None:
    dataset = opened(coco_json, "coco")
    assert (dataset.name, dataset.split, dataset.layout) == ("coco", "test", "Karpathy JSON")
    assert contents(dataset) == [
        ("val2014/COCO_0.jpg", tuple(f"caption {i} of 0." for i in range(6))),
        ("val2014/COCO_5.jpg", tuple(f"caption {i} of 5." for i in range(5))),
    ]
    assert (len(dataset), dataset.captions, dataset.notes) == (2, 11, ())
    assert dataset.examples[0].picture == StoredPicture(
        "val2014/COCO_0.jpg", coco_json.parent / "val2014" / "COCO_0.jpg"
    )


def test_flickr_pictures_have_no_filepath_and_equal_captions_stay(flickr_json: Path) -> None:
    dataset = opened(flickr_json, "flickr30k")
    assert contents(dataset) == [
        ("3.jpg", ("a dog", "a dog", "dog 3")),
        ("5.jpg", ("a dog", "a dog", "dog 5")),
    ]


@pytest.mark.parametrize(
    ("split", "wanted"),
    [
        (None, [0, 5]),
        ("test", [0, 5]),
        ("train", [1, 6]),
        ("restval", [2, 4]),
        ("train+restval", [1, 2, 4, 6]),
        ("restval+train", [1, 2, 4, 6]),
    ],
)
def test_splits_join_in_the_order_of_the_file(
    coco_json: Path, split: str | None, wanted: list[int]
) -> None:
    dataset = opened(coco_json, "coco", split=split)
    assert dataset.split == (split or "test")
    assert [picture.rpartition("_")[2] for picture, _ in contents(dataset)] == [
        f"{n}.jpg" for n in wanted
    ]


@pytest.mark.parametrize("split", ["dev", "train+dev", "train,val", "TEST"])
def test_a_missing_split_is_an_error_that_names_the_others(coco_json: Path, split: str) -> None:
    with pytest.raises(DatasetError) as caught:
        opened(coco_json, "coco", split=split)
    assert str(caught.value) == (
        f"{coco_json} has no split {split}: choose from those it has pictures of, test (2),"
        " train (2), restval (2), val (1)"
    )


def test_without_a_test_split_no_other_is_taken_silently(tmp_path: Path) -> None:
    file = karpathy(tmp_path / "mine.json", [{"filename": "a", "split": "train", "raws": ["a"]}])
    with pytest.raises(DatasetError, match=r"no split test: choose from .*, train \(1\)"):
        opened(file)
    assert len(opened(file, split="train")) == 1


def test_flattened_folders_are_found(coco_json: Path, tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "COCO_0.jpg").touch()
    (tmp_path / "flat" / "val2014").mkdir()
    (tmp_path / "flat" / "val2014" / "COCO_5.jpg").touch()
    (tmp_path / "flat" / "COCO_5.jpg").touch()
    dataset = opened(coco_json, "coco", images=tmp_path / "flat")
    assert [example.picture for example in dataset.examples] == [
        StoredPicture("val2014/COCO_0.jpg", tmp_path / "flat" / "COCO_0.jpg"),
        StoredPicture("val2014/COCO_5.jpg", tmp_path / "flat" / "val2014" / "COCO_5.jpg"),
    ]


def test_a_picture_in_another_folder_is_not_taken(tmp_path: Path) -> None:
    images = [
        {"filepath": folder, "filename": "1.jpg", "split": "test", "raws": [folder]}
        for folder in ("cats", "dogs")
    ]
    (tmp_path / "1.jpg").touch()
    dataset = opened(karpathy(tmp_path / "mine.json", images))
    assert not any(example.picture.exists() for example in dataset.examples)


def test_empty_captions_and_pictures_without_any_are_left_out_and_noted(tmp_path: Path) -> None:
    images = [
        {"filename": "a.jpg", "split": "test", "raws": [" ", "\u3000a cat\t", ""]},
        {"filename": "b.jpg", "split": "test", "raws": []},
        {"filename": "c.jpg", "split": "test", "raws": ["\n"]},
        {"filename": "d.jpg", "split": "test", "raws": ["a dog"]},
        {"filename": "e.jpg", "split": "train", "raws": [""]},
    ]
    dataset = opened(karpathy(tmp_path / "mine.json", images))
    assert contents(dataset) == [("a.jpg", ("a cat",)), ("d.jpg", ("a dog",))]
    assert dataset.notes == (
        "Empty captions left out: 3.",
        "Pictures left out that have no caption: 2, such as b.jpg.",
    )
    with pytest.raises(DatasetError, match=r"has no caption in the split train"):
        opened(tmp_path / "mine.json", split="train")


def test_a_limit_keeps_the_first_pictures_and_notes_it(flickr_json: Path) -> None:
    dataset = opened(flickr_json, split="val+test", limit=2)
    assert [picture for picture, _ in contents(dataset)] == ["7.jpg", "3.jpg"]
    assert dataset.notes == ("Only the first 2 of 3 pictures are read.",)
    assert opened(flickr_json, limit=2).notes == ()


def coco(
    file: Path, images: list[tuple[int, str]], annotations: list[tuple[int, str | None]]
) -> Path:
    value = {
        "info": {"year": 2017},
        "images": [{"license": 4, "file_name": name, "id": id} for id, name in images],
        "annotations": [
            {"image_id": id, "id": n, **({} if text is None else {"caption": text})}
            for n, (id, text) in enumerate(annotations)
        ],
        "licenses": [],
    }
    file.write_text(json.dumps(value))
    return file


def test_official_coco_joins_captions_by_id_in_both_orders(tmp_path: Path) -> None:
    file = coco(
        tmp_path / "captions_val2017.json",
        [(9, "9.jpg"), (2, "2.jpg"), (5, "5.jpg")],
        [(2, "two "), (9, "nine"), (2, "also two"), (77, "nobody"), (9, "\nagain nine")],
    )
    dataset = opened(file)
    assert contents(dataset) == [("9.jpg", ("nine", "again nine")), ("2.jpg", ("two", "also two"))]
    assert (dataset.split, dataset.layout) == ("val2017", "COCO captions JSON")
    assert dataset.notes == (
        "Captions left out that name no picture of the file: 1.",
        "Pictures left out that have no caption: 1, such as 5.jpg.",
    )
    assert opened(file, split="val2017") == dataset
    with pytest.raises(DatasetError, match=r"no split test: choose from .*, val2017 \(3\)"):
        opened(file, split="test")
    assert opened(file.rename(tmp_path / "mine.json")).split == "all"


def test_a_standard_dataset_without_splits_gets_a_note(tmp_path: Path) -> None:
    images = [(n, f"{n}.jpg") for n in range(1000)]
    file = coco(tmp_path / "captions_val2017.json", images, [(n, "a cat") for n in range(1000)])
    assert opened(file, "coco").notes == (
        "captions_val2017.json has no splits: this is the whole of it, not Karpathy's test split of"
        " 5,000 pictures, which published figures are of.",
    )
    assert opened(file, "flickr30k").notes == ()
    assert opened(file, "custom").notes == ()


def test_names_keep_pictures_within_a_split(flickr_json: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_bytes(b"\xef\xbb\xbf5.jpg\r\n\r\n1.jpg \r\n3\r\n")
    dataset = opened(flickr_json, "flickr30k", names=names)
    assert (dataset.split, [picture for picture, _ in contents(dataset)]) == ("test", ["5.jpg"])
    assert dataset.notes == ("Names in names.txt that no picture has: 2, such as 1.jpg.",)
    names.write_text("3\n5\n")  # the format of the lists of Flickr30k Entities
    with pytest.raises(DatasetError, match=r"names no picture of .*, such as 3\.jpg"):
        opened(flickr_json, "flickr30k", names=names)


def test_standard_sizes() -> None:
    assert {name: standard_size(name, "test") for name in DATASETS} == {
        "flickr30k": (1_000, 5_000),
        "flickr8k": (1_000, 5_000),
        "coco": (5_000, 25_010),
        "scenes": None,
        "custom": None,
    }
    assert standard_size("coco", "val") is None


def test_scenes_need_no_files(tmp_path: Path) -> None:
    dataset = open_dataset("scenes", annotations=None, images=None, split=None, limit=3)
    assert dataset == drawn_scenes(3, "test")
    assert dataset != open_dataset("scenes", annotations=None, images=None, split="val", limit=3)
    assert len(open_dataset("scenes", annotations=None, images=None, split=None)) == 1000
    with pytest.raises(DatasetError, match="scenes are drawn"):
        open_dataset("scenes", annotations=None, images=tmp_path, split=None)


def test_exists_reads_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = StoredPicture("a.png", tmp_path / "a.png")
    Image.new("RGB", (3, 2), "red").save(there.path)
    assert there.digest() == hashlib.sha256(there.path.read_bytes()).digest()
    assert there.open().getpixel((2, 1)) == (255, 0, 0)

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("it was opened")

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", refuse)
        with pytest.raises(AssertionError, match="it was opened"):
            there.digest()
        assert there.exists()
        assert not StoredPicture("b.png", tmp_path / "b.png").exists()
        assert not StoredPicture("folder", tmp_path).exists()
        assert not StoredPicture("long", tmp_path / ("a" * 5000)).exists()


def one(**changes: object) -> str:
    image = {"filename": "a.jpg", "split": "test", "sentences": [{"raw": "a cat"}], **changes}
    return json.dumps({"images": [{**image, "sentences": []}, image], "dataset": "custom"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("{", "is not JSON: Expecting property name"),
        ('{"images": [', "is not JSON"),
        ("[" * 200_000, "is not JSON"),
        ("[]", "is JSON of an unknown kind"),
        ("{}", "is JSON of an unknown kind"),
        ('{"images": [{"id": 1, "file_name": "a"}]}', "is JSON of an unknown kind"),
        ('{"images": [], "annotations": []}', "holds no pictures"),
        (one(filename=None), "image 1: has no filename, which must be a text"),
        (one(split=3), "image 1: has no split"),
        ('{"images": [{"sentences": []}, 3]}', "image 1: has no filename"),
        (one(sentences=["a cat"]), "image 2: has no raw, which must be a text"),
        (one(sentences=[{"tokens": ["a"]}]), "image 2: has no raw"),
        (one(sentences=[{"raw": "\ud83d"}]), r"image 2: raw holds half a character .'\\ud83d'"),
        (one(filename="../a.jpg"), "image 2: ../a.jpg leads out of the folder"),
        (one(filepath=".."), "image 2: ../a.jpg leads out of the folder"),
        (one(filename="b/../../a.jpg"), "leads out of the folder"),
        (one(filename="/a.jpg"), "image 2: /a.jpg is an absolute path"),
        (one(filename="a\0.jpg"), "image 2: names no picture"),
        (one(filename=" "), "image 2: names no picture"),
    ],
)
def test_bad_json_is_one_clear_sentence(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.json"
    file.write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        opened(file)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


def test_odd_names_inside_the_folder_are_accepted(tmp_path: Path) -> None:
    images = [
        {"filename": name, "split": "test", "raws": ["a cat"]}
        for name in ("a/../b.jpg", "..c.jpg", "Strasse in Köln 你.jpg", "d e\t.jpg")
    ]
    dataset = opened(karpathy(tmp_path / "mine.json", images), images=tmp_path)
    for example, image in zip(dataset.examples, images, strict=True):
        assert example.picture.name == image["filename"]
        assert isinstance(example.picture, StoredPicture)
        assert example.picture.path == tmp_path / str(image["filename"])


@pytest.mark.parametrize(
    ("images", "annotations", "message"),
    [
        ([(1, "a.jpg")], [(1, None)], r"annotation 1: has no caption; .* captions_\*\.json"),
        ([(1, "a.jpg"), (1, "b.jpg")], [], "image 2: has the same id 1 as image 1"),
        ([("1", "a.jpg")], [], "image 1: has no id, which must be a whole number"),
        ([(1, "a.jpg")], [([], "a cat")], "annotation 1: has no image_id"),
        ([(1, "../a.jpg")], [(1, "a cat")], r"image 1: \.\./a\.jpg leads out"),
    ],
)
def test_bad_coco_is_one_clear_sentence(
    tmp_path: Path, images: list[Any], annotations: list[Any], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        opened(coco(tmp_path / "instances_val2017.json", images, annotations))


def test_what_is_not_an_annotations_file(tmp_path: Path, flickr_json: Path) -> None:
    with pytest.raises(DatasetError, match="there is no dataset flickr: choose one of flickr30k,"):
        opened(flickr_json, "flickr")
    with pytest.raises(DatasetError, match="coco needs its annotations"):
        open_dataset("coco", annotations=None, images=tmp_path, split=None)
    with pytest.raises(DatasetError, match="says that it is flickr30k: ask for that"):
        opened(flickr_json, "coco")
    with pytest.raises(DatasetError, match="a limit of 0 pictures"):
        opened(flickr_json, limit=0)
    with pytest.raises(DatasetError, match=r"pictures is not a folder"):
        opened(flickr_json, images=tmp_path / "pictures")
    with pytest.raises(DatasetError, match=r"there is no file .*gone\.json"):
        opened(tmp_path / "gone.json")
    with pytest.raises(DatasetError, match=r"names\.txt cannot be read: No such file"):
        opened(flickr_json, names=tmp_path / "names.txt")
    with pytest.raises(DatasetError, match="is a folder without tar files"):
        opened(tmp_path)
    (tmp_path / "latin.json").write_bytes('{"images":\n"Köln"}'.encode("latin-1"))
    with pytest.raises(DatasetError, match=r"latin\.json, line 2: is not UTF-8"):
        opened(tmp_path / "latin.json")
    with zipfile.ZipFile(tmp_path / "caption_datasets.zip", "w") as archive:
        archive.write(flickr_json, "dataset_flickr30k.json")
    with pytest.raises(DatasetError, match=r"is compressed \(zip\); unpack it first"):
        opened(tmp_path / "caption_datasets.zip")


@pytest.mark.parametrize("place", [".", "images"])
def test_both_files_give_the_same_photographs(data_dir: Path, place: str) -> None:
    folder = data_dir / "coco_photos"
    ours = opened(folder / "dataset_coco.json", "coco", images=folder / place)
    official = opened(
        folder / "captions_val2017.json", "coco", images=folder / "images", split="val2017"
    )
    assert (len(ours), ours.split, ours.notes) == (52, "test", ())
    assert ours.examples[0].picture.name == "images/000000000139.jpg"
    assert ours.examples[0].captions[0] == "A woman stands in the dining area at the table."
    assert [example.captions for example in ours.examples] == [
        example.captions for example in official.examples
    ]
    pictures = zip(ours.examples, official.examples, strict=True)
    assert all(mine.picture.digest() == its.picture.digest() for mine, its in pictures)
    assert len({example.picture.digest() for example in ours.examples}) == 52
    assert ours.examples[0].picture.open().size == (640, 426)
