"""WebDataset shards, compared with what tarfile itself extracts."""

import gzip
import io
import json
import random
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from PIL import Image

from encoder import DatasetError, PictureError
from encoder.datasets import Dataset, StoredPicture, open_dataset


def opened(annotations: Path, images: Path | None = None, split: str | None = None) -> Dataset:
    return open_dataset("custom", annotations=annotations, images=images, split=split)


def contents(dataset: Dataset) -> list[tuple[str, tuple[str, ...]]]:
    return [(example.picture.name, example.captions) for example in dataset.examples]


def picture(colour: int, kind: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), (colour, 255 - colour, 90)).save(file, kind)
    return file.getvalue()


def said(value: object) -> bytes:
    return json.dumps(value).encode()


def shard(
    file: Path,
    members: Mapping[str, bytes] | Sequence[tuple[str, bytes]],
    format: int = tarfile.PAX_FORMAT,
) -> Path:
    with tarfile.open(file, "w", format=format) as tar:
        for name, data in members.items() if isinstance(members, Mapping) else members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_pictures_read_in_place_equal_those_that_tarfile_extracts(
    tmp_path: Path, format: int
) -> None:
    rng = random.Random(3)
    members: dict[str, bytes] = {}
    for n in range(40):
        kind, ending = rng.choice([("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "WebP")])
        folder = rng.choice(["", "part/", f"{'long' * 12}/{'deep' * 12}/", "./", "köln/"])
        sample = {f".{ending}": picture(5 * n, kind), ".txt": f"caption {n}".encode()}
        sample[".json"] = said({"caption": f"not caption {n}", "key": n})
        endings = rng.sample(sorted(sample), 3)
        members |= {f"{folder}{n:05}{ending}": sample[ending] for ending in endings}
    file = shard(tmp_path / "00000.tar", members, format)
    with tarfile.open(file) as tar:
        for member in filter(tarfile.TarInfo.isfile, tar):
            content = tar.extractfile(member)
            assert content
            (tmp_path / "out" / member.name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "out" / member.name).write_bytes(content.read())

    dataset = opened(file)
    assert (dataset.layout, dataset.split) == ("WebDataset shards", "all")
    assert [example.captions for example in dataset.examples] == [
        (f"caption {n}",) for n in range(40)
    ]
    for example in dataset.examples:
        name = example.picture.name.removeprefix("00000.tar/")
        extracted = StoredPicture(name, tmp_path / "out" / name)
        assert isinstance(example.picture, StoredPicture)
        assert example.picture.path == file
        assert example.picture.exists()
        assert example.picture.digest() == extracted.digest()
        assert example.picture.open().tobytes() == extracted.open().tobytes()


def test_captions_of_a_sample(tmp_path: Path) -> None:
    jpg = picture(0)
    file = shard(
        tmp_path / "mine.tar",
        [
            ("b.txt", b"\xef\xbb\xbfone\r\ntwo \n\nthree\n"),
            ("a.jpg", jpg),
            ("c.json", said({"captions": ["x ", "y"], "caption": "z"})),
            ("b.jpg", b"an older one"),
            ("c.jpg", jpg),
            ("d.jpg", jpg),
            ("d.json", said({"caption": "d"})),
            ("e.jpg", jpg),
            ("e.json", said({"caption": None, "status": "failed"})),
            ("f.jpg", jpg),
            ("f.txt", b""),
            ("g.txt", b"of nothing"),
            ("h.cls", b"3"),
            ("i.jpg", jpg),
            ("i.seg.png", picture(3, "PNG")),
            ("i.txt", "人".encode()),
            ("._i.jpg", b"what a Mac leaves"),
            ("._i.txt", b"what a Mac leaves"),
            ("README", b"read me"),
            ("b.jpg", picture(200)),
        ],
    )
    dataset = opened(file)
    assert contents(dataset) == [
        ("mine.tar/b.jpg", ("one", "two", "three")),
        ("mine.tar/c.jpg", ("x", "y")),
        ("mine.tar/d.jpg", ("d",)),
        ("mine.tar/i.jpg", ("人",)),
    ]
    assert dataset.notes == (
        "Keys left out that have captions but no picture: 1.",
        "Empty captions left out: 2.",
        "Pictures left out that have no caption: 3, such as mine.tar/a.jpg.",
    )
    drawn = dataset.examples[0].picture.open().getpixel((4, 3))
    assert isinstance(drawn, tuple)
    assert abs(drawn[0] - 200) < 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Shards 8 to 11 with the same keys, written in another order, beside other files."""
    folder = tmp_path / "test"
    folder.mkdir()
    for n in (11, 8, 10, 9):
        shard(folder / f"s-{n}.tar", {"0.jpg": picture(n), "0.txt": f"{n}".encode()})
    (folder / "nshards.txt").write_text("4")
    (folder / "._s-8.tar").write_bytes(b"what a Mac leaves")
    return folder


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("test", "8 9 10 11"),
        ("test/s-*.tar", "8 9 10 11"),
        ("test/s-1?.tar", "10 11"),
        ("test/s-{8..10}.tar", "8 9 10"),
        ("test/s-{10,8}.tar", "10 8"),
        ("{test,test}/s-{8..9}.tar", "8 9 8 9"),
        ("test/s-9.tar", "9"),
    ],
)
def test_shards_come_in_the_order_of_their_numbers(folder: Path, pattern: str, wanted: str) -> None:
    dataset = opened(folder.parent / pattern)
    assert [" ".join(captions) for _, captions in contents(dataset)] == wanted.split()
    assert contents(dataset)[0][0] == f"s-{wanted.split()[0]}.tar/0.jpg"
    assert dataset.split == "test"


def test_a_pattern_keeps_its_zeros(tmp_path: Path) -> None:
    for n in range(12):
        shard(tmp_path / f"{n:03}.tar", {"0.jpg": picture(n), "0.txt": f"{n}".encode()})
    dataset = opened(tmp_path / "{000..011}.tar")
    assert [captions for _, captions in contents(dataset)] == [(f"{n}",) for n in range(12)]
    with pytest.raises(DatasetError, match=r"there is no file .*/012\.tar"):
        opened(tmp_path / "{000..020}.tar")


def test_what_is_not_a_whole_shard(tmp_path: Path) -> None:
    jpg = picture(0)
    whole = shard(tmp_path / "whole.tar", {f"{n}.jpg": jpg for n in range(5)} | {"0.txt": b"a"})
    data = whole.read_bytes()
    bad = tmp_path / "bad.tar"

    def refusal(data: bytes) -> str:
        bad.write_bytes(data)
        with pytest.raises(DatasetError, match=r"bad\.tar") as caught:
            opened(bad)
        return str(caught.value).removeprefix(f"{bad}")

    with tarfile.open(whole) as tar:
        third = tar.getmembers()[2]
    assert refusal(gzip.compress(data)) == " is compressed (gzip); unpack it first"
    assert refusal(data[: third.offset_data + 10]).startswith(" is damaged (unexpected end of data")
    assert refusal(data[: third.offset + 99]).startswith(f" is damaged at byte {third.offset:,}")
    broken = data[: third.offset] + b"#" * 512 + data[third.offset_data :]
    assert refusal(broken).startswith(f" is damaged at byte {third.offset:,}; download it again")
    # A file that ends between two members is a whole tar file for every reader.
    bad.write_bytes(data[: third.offset])
    with pytest.raises(DatasetError, match="has no caption in the split all"):
        opened(bad)

    shard(bad, {"a.txt": b"a", "b.json": b"{}"})
    with pytest.raises(DatasetError, match="holds no pictures beside their captions"):
        opened(bad)
    shard(bad, {"a.jpg": jpg, "a.txt": b"one\nK\xf6ln"})
    with pytest.raises(DatasetError, match=r"bad\.tar/a\.txt, line 2: is not UTF-8"):
        opened(bad)
    shard(bad, {"a.jpg": jpg, "a.json": b"[]"})
    with pytest.raises(DatasetError, match=r"bad\.tar, a\.json: is not a JSON object"):
        opened(bad)
    shard(bad, {"a.jpg": jpg, "a.json": said({"caption": 3})})
    with pytest.raises(DatasetError, match=r"bad\.tar, a\.json: has no captions, which"):
        opened(bad)
    with pytest.raises(DatasetError, match="holds its pictures itself: give no folder"):
        opened(whole, images=tmp_path)
    with pytest.raises(DatasetError, match=r"no split test: choose from .*, all \(5\)"):
        opened(whole, split="test")
    bad.write_text("image,caption\n")
    with pytest.raises(DatasetError, match=r"bad\.tar is not a tar file"):
        opened(tmp_path)


def test_a_damaged_picture_is_found_when_it_is_opened(tmp_path: Path) -> None:
    file = shard(tmp_path / "a.tar", {"a.jpg": b"no picture", "a.txt": b"a cat"})
    with pytest.raises(PictureError):
        opened(file).examples[0].picture.open()
