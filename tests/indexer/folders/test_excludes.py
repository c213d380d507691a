"""Exclusion globs: what they match, and how a run uses them."""

import json
import os

import pytest

from indexer import RootStatus, SourceExcluded
from indexer.folders.excludes import Excludes, below, literal, normalised


@pytest.mark.parametrize(
    ("glob", "path", "covered"),
    [
        ("*.gif", b"a.gif", True),
        ("*.gif", b"deep/er/a.gif", True),
        ("*.gif", b"a.GIF", False),
        ("raw", b"deep/raw/a.png", True),
        ("raw", b"rawest/a.png", False),
        ("deep/raw", b"deep/raw/a.png", True),
        ("deep/raw", b"more/deep/raw/a.png", False),
        ("deep/*.png", b"deep/er/a.png", True),
        ("*/raw", b"a/b/raw/c.png", True),
        ("/a.png", b"a.png", True),
        ("/a.png", b"sub/a.png", False),
        ("img_[0-9].png", b"img_7.png", True),
        ("?.png", b"\xff.png", True),
        ("*", b"new\nline.png", True),
    ],
)
def test_what_a_glob_covers(glob, path, covered):
    assert Excludes([glob]).cover(path) is covered
    assert Excludes(["unlike", "un/like", glob]).cover(path) is covered


def test_a_glob_matches_a_folder_and_covers_what_is_in_it():
    excludes = Excludes(["raw"])
    assert (excludes.match(b"a/raw"), excludes.match(b"a/raw/b.png")) == (True, False)
    assert (Excludes([]).match(b"a"), Excludes([]).cover(b"a/b"), excludes.cover(b"")) == (
        False,
    ) * 3


@pytest.mark.parametrize("path", [b"a.png", b"a/[b]*?.png", b"\xff/\xfe.png", b"a/b.png"])
def test_a_literal_covers_its_path_alone(path):
    excludes = Excludes(json.loads(json.dumps([literal(path)])))
    assert excludes.cover(path)
    assert not excludes.cover(b"sub/" + path)
    assert not excludes.cover(path + b"x")
    assert excludes.cover(os.path.join(path, b"below"))


def test_globs_are_remembered_normalised():
    assert normalised(["b", "", "a/", "b", "/"]) == ("b", "a")


@pytest.mark.parametrize("glob", ["*.gif", "raw", "deep/raw", "/a.png", "*/b"])
def test_globs_of_a_folder_mean_the_same_in_the_folder_around_it(glob):
    inner, outer = Excludes([glob]), Excludes(below([glob], b"in[x]"))
    for path in (
        b"a.gif",
        b"d/a.gif",
        b"raw/x",
        b"d/raw/x",
        b"deep/raw/x",
        b"a.png",
        b"d/a.png",
        b"c/b",
    ):
        assert outer.cover(b"in[x]/" + path) is inner.cover(path), path
        assert not outer.cover(path)
        assert not outer.cover(b"inx/" + path)


def test_globs_are_remembered_replaced_and_cleared(photos):
    for n, name in enumerate(("a.png", "raw/b.png", "sub/raw/c.png", "sub/d.gif.png")):
        photos.paint(name, (n, 0, 0))
    assert photos.index(exclude=["raw", "*.gif.png"]) == {"added": 1, "embedded": 1}
    assert photos.rescan() == {"unchanged": 1}
    assert photos.library.roots() == [
        RootStatus(photos.folder, True, 1, exclude=("raw", "*.gif.png"))
    ]
    assert photos.rescan(exclude=["sub/raw"]) == {"added": 2, "unchanged": 1, "embedded": 2}
    assert photos.rescan(exclude=[""]) == {"added": 1, "unchanged": 3, "embedded": 1}
    assert photos.library.roots()[0].exclude == ()


def test_items_that_become_excluded_are_deleted_even_if_all_do(photos):
    photos.paint("a.png", "red")
    caption = photos.write("sub/c.txt", "green")
    photos.index(photos.folder, caption)
    assert photos.rescan(exclude=["sub"]) == {"deleted": 1, "unchanged": 1}
    assert photos.rescan(exclude=["*"]) == {"deleted": 1}
    assert photos.nearest("red", 5) == []


def test_globs_given_with_a_path_apply_to_its_root_alone(photos, tmp_path):
    photos.paint("a.png", "red")
    photos.paint("../other/a.png", "green")
    other = tmp_path / "other"
    photos.index(photos.folder, other)
    assert photos.index(other, exclude=["a.png"]) == {"deleted": 1}
    assert [root.exclude for root in photos.library.roots()] == [(), ("a.png",)]
    assert photos.rescan() == {"unchanged": 1}
    assert photos.rescan(exclude=["a.*"]) == {"deleted": 1}
    assert [root.exclude for root in photos.library.roots()] == [("a.*",), ("a.*",)]


def test_an_excluded_folder_is_not_entered(photos, monkeypatch):
    photos.paint("a.png", "red")
    photos.paint("raw/b.png", "green")
    entered = []
    real = os.scandir
    monkeypatch.setattr("os.scandir", lambda path: entered.append(os.fsencode(path)) or real(path))
    photos.index(exclude=["raw"])
    assert os.fsencode(photos.folder / "raw") not in entered
    assert entered


def test_a_source_that_a_glob_excludes_is_refused(photos):
    path = photos.paint("raw/b.png", "green")
    photos.index(exclude=["raw"])
    with pytest.raises(SourceExcluded) as caught:
        photos.library.index([path], None)
    assert str(caught.value) == (
        f"{path} is excluded from {photos.folder} by the glob 'raw'; to change the globs of"
        " that folder, give all of them with --exclude (`align roots` lists them)"
    )


def test_a_folder_around_a_root_keeps_the_exclusions_of_that_root(photos, tmp_path):
    photos.paint("../other/in/a.png", "red")
    photos.paint("../other/in/raw/b.png", "green")
    photos.paint("../other/raw/c.png", "blue")
    photos.index(tmp_path / "other/in", exclude=["raw"])
    assert photos.index(tmp_path / "other") == {"added": 1, "unchanged": 1, "embedded": 1}
    assert photos.library.find(tmp_path / "other/in/raw/b.png") == []
    assert len(photos.library.find(tmp_path / "other/raw/c.png")) == 1


def test_folders_that_other_systems_create_are_left_out(photos):
    for name in ("._a.png", ".DS_Store", "#recycle/a.png", "$RECYCLE.BIN/a.png", "b/._a.png"):
        photos.paint(name, "red")
    photos.paint("a.png", "green")
    assert photos.index() == {"added": 1, "embedded": 1}
