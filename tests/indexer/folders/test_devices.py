"""Disks mounted below a root: the items of a disk that is away are not lost."""

import json
import os
import shutil

import pytest

from encoder.fake import FakeEncoder
from indexer import Forgotten, RootStatus
from indexer.database.rows import Root
from indexer.folders import devices

REMEDY = "; mount or restore it, or accept the loss with --allow-missing; nothing of it was deleted"


@pytest.fixture
def mounted(monkeypatch):
    """Device numbers by absolute folder; all that lies in a folder has its number."""
    numbers: dict[bytes, int] = {}
    real = devices.device_of

    def device_of(root, part):
        real_one = real(root, part)
        path = root.at(part)
        inside = [folder for folder in numbers if path == folder or path.startswith(folder + b"/")]
        return numbers[max(inside)] if inside else real_one

    monkeypatch.setattr("indexer.folders.devices.device_of", device_of)
    return numbers


@pytest.fixture
def usb(photos, mounted):
    """The folder of a mounted disk, with two of the three pictures in the library."""
    photos.paint("a.png", "red")
    photos.paint("disks/usb/b.png", "green")
    photos.paint("disks/usb/deep/c.png", "blue")
    folder = photos.folder / "disks/usb"
    mounted[os.fsencode(folder)] = 1
    assert photos.index() == {"added": 3, "embedded": 3}
    return folder


@pytest.fixture
def unmount(mounted, tmp_path):
    """Leave the mount point as an empty folder; returns the function that mounts it again."""

    def leave(folder):
        number = mounted.pop(os.fsencode(folder))
        away = folder.rename(tmp_path / "away")
        folder.mkdir()

        def mount():
            shutil.rmtree(folder)
            away.rename(folder)
            mounted[os.fsencode(folder)] = number

        return mount

    return leave


@pytest.fixture
def mounts(photos, sql):
    """The devices below its first root that the library remembers."""
    return lambda: json.loads(
        sql(photos.library, "SELECT mounts FROM roots ORDER BY id LIMIT 1")[0][0]
    )


def test_mounts_are_found_where_they_begin():
    root = Root(1, b"/", True)
    assert (b"proc", os.stat("/proc").st_dev) in devices.mounts_above(root, [b"proc/self/status"])
    assert devices.mounts_above(Root(1, b"/proc", True), [b"self/status", b"version"]) == ()


def test_a_link_is_on_its_own_device_unless_it_is_followed(tmp_path):
    (tmp_path / "link").symlink_to("/proc")
    here = os.fsencode(tmp_path)
    assert devices.device_of(Root(1, here, True), b"link") == tmp_path.stat().st_dev
    followed = Root(1, here, True, follow_symlinks=True)
    assert devices.mounts_above(followed, [b"link/version"]) == (
        (b"link", os.stat("/proc").st_dev),
    )


def test_mounts_in_mounts_and_folders_that_vanish(tmp_path, mounted):
    (tmp_path / "a/b/c").mkdir(parents=True)
    here = os.fsencode(tmp_path)
    mounted[here + b"/a"] = 1
    mounted[here + b"/a/b/c"] = 2
    paths = [b"x.png", b"a/b/x.png", b"a/b/c/x.png", b"gone/x.png"]
    assert devices.mounts_above(Root(1, here, True), paths) == ((b"a", 1), (b"a/b/c", 2))


def test_a_disk_that_is_away_loses_nothing_and_the_rest_goes_on(photos, usb, unmount, mounts):
    assert mounts() == [["disks/usb", 1]]
    mount = unmount(usb)
    (photos.folder / "a.png").unlink()
    photos.paint("new.png", "yellow")
    sentence = f"{usb} is empty but the library knows 2 files in it{REMEDY}"
    assert photos.outcome() == ((sentence,), 1, 1)
    assert photos.nearest("green") == [2]
    assert photos.library.roots() == [RootStatus(photos.folder, True, 3, away=((usb, "empty"),))]
    assert photos.outcome() == ((sentence,), 0, 0)
    mount()
    assert photos.rescan() == {"unchanged": 3}
    assert photos.library.roots() == [RootStatus(photos.folder, True, 3)]
    assert mounts() == [["disks/usb", 1]]


def test_a_mount_point_that_is_gone_as_well(photos, usb, unmount):
    unmount(usb)
    usb.rmdir()
    assert photos.outcome() == ((f"{usb} does not exist{REMEDY}",), 0, 0)
    assert photos.library.roots()[0].away == ((usb, "missing"),)
    assert photos.nearest("blue") == [3]


def test_the_loss_may_be_accepted_and_is_forgotten(photos, usb, unmount, mounts):
    unmount(usb)
    assert photos.outcome(allow_missing=True) == ((), 0, 2)
    assert mounts() == []
    assert photos.library.roots() == [RootStatus(photos.folder, True, 1)]
    assert photos.rescan() == {"unchanged": 1}


def test_the_folder_below_the_mount_holds_something_else(photos, usb, unmount):
    """Files that were written there while the disk was away wait, too."""
    unmount(usb)
    photos.paint("disks/usb/b.png", "yellow")
    photos.paint("disks/usb/new.png", "white")
    lacks = "lacks 1 file of the 2 that the library knows"
    sentence = f"{usb} is on another device than before and {lacks}{REMEDY}"
    assert photos.outcome() == ((sentence,), 0, 0)
    assert photos.library.roots()[0].away == ((usb, "other device"),)
    assert photos.nearest("green") == [2]
    assert photos.outcome(allow_missing=True) == ((), 1, 1)


def test_another_disk_in_its_place(photos, usb, mounted, mounts):
    mounted[os.fsencode(usb)] = 2
    (usb / "b.png").unlink()
    assert (photos.outcome()[1:], mounts()) == ((0, 0), [["disks/usb", 1]])
    photos.paint("disks/usb/b.png", "green")
    assert photos.rescan() == {"unchanged": 3}
    assert mounts() == [["disks/usb", 2]]


def test_a_mount_that_became_an_ordinary_folder(photos, usb, mounted, mounts):
    mounted.clear()
    assert photos.rescan() == {"unchanged": 3}
    assert mounts() == []
    shutil.rmtree(usb)
    assert photos.outcome() == ((), 0, 2)


def test_files_deleted_from_a_disk_that_is_there(photos, usb):
    (usb / "b.png").unlink()
    assert photos.outcome() == ((), 0, 1)
    # Nobody can tell whether it was emptied on purpose; the same is true of a root.
    shutil.rmtree(usb / "deep")
    assert photos.outcome()[0][0].startswith(f"{usb} is empty but the library knows 1 file in it;")


def test_a_disk_in_a_disk_is_named_once(photos, usb, unmount, mounted, mounts):
    mounted[os.fsencode(usb / "deep")] = 2
    photos.rescan()
    both = [["disks/usb", 1], ["disks/usb/deep", 2]]
    assert mounts() == both
    unmount(usb)
    assert [sentence.split(" ")[0] for sentence in photos.outcome()[0]] == [str(usb)]
    assert mounts() == both


def test_a_scan_of_a_part_remembers_a_disk_and_notices_its_loss(photos, mounted, unmount, mounts):
    """The disk is mounted after the first scan of the whole root, and no other scan follows."""
    photos.paint("a.png", "red")
    photos.index()
    photos.paint("usb/b.png", "green")
    usb = photos.folder / "usb"
    mounted[os.fsencode(usb)] = 1
    assert photos.index(usb) == {"added": 1, "embedded": 1}
    photos.index(photos.folder / "a.png")
    assert mounts() == [["usb", 1]]
    unmount(usb)
    assert photos.outcome(usb) == photos.outcome() != ((), 0, 0)
    assert photos.outcome(usb, allow_missing=True) == ((), 0, 1)


def test_a_scan_of_a_part_of_a_disk_does_not_change_its_device(photos, usb, mounted, mounts):
    mounted[os.fsencode(usb)] = 2
    assert photos.index(usb / "deep") == {"unchanged": 1}
    assert mounts() == [["disks/usb", 1]]


def test_the_root_itself_is_away(photos, tmp_path, mounted):
    photos.paint("../other/a.png", "red")
    photos.paint("../other/usb/b.png", "green")
    other = tmp_path / "other"
    mounted[os.fsencode(other / "usb")] = 1
    photos.index(other)
    other.rename(tmp_path / "away")
    other.mkdir()
    ((sentence,), *counts) = photos.outcome()
    assert sentence.startswith(f"{other} is empty but the library knows 2 files in it; mount")
    assert counts == [0, 0]
    assert photos.library.roots()[0].away == ((other / "usb", "missing"),)


def test_a_root_that_a_larger_one_absorbs_waits_for_its_disk(
    photos, tmp_path, unmount, mounted, mounts, sql
):
    for name, colour in (("a", "red"), ("b", "green"), ("sub/c", "blue")):
        photos.paint(f"../other/usb/{name}.png", colour)
    usb, other = tmp_path / "other/usb", tmp_path / "other"
    mounted[os.fsencode(usb / "sub")] = 2
    photos.index(usb)
    device = usb.stat().st_dev
    (usb / "sub").rename(tmp_path / "sub")
    mounted[os.fsencode(usb)] = 1
    unmount(usb)
    photos.paint("../other/new.png", "white")
    report = photos.outcome(other)
    assert report == ((f"{usb} is empty but the library knows 3 files in it{REMEDY}",), 1, 0)
    assert mounts() == [["usb", device], ["usb/sub", 2]]


def test_names_in_any_bytes(photos, mounted, unmount, tmp_path):
    folder = photos.paint(b"\xff caf\xc3\xa9/a.png", "red").parent
    mounted[os.fsencode(folder)] = 1
    photos.paint("b.png", "blue")
    photos.index()
    unmount(folder)
    assert photos.outcome()[1:] == (0, 0)
    assert photos.library.roots()[0].away == ((folder, "empty"),)


def test_reembedding_waits_for_a_disk_that_is_away(photos, usb, unmount):
    mount = unmount(usb)
    new = FakeEncoder("other", "07e4" * 16)
    photos.rescan(encoder=new, reembed=True)
    assert photos.library.model.name == "fake"
    mount()
    assert photos.rescan(encoder=new, reembed=True) == {
        "reembedded": 2,
        "unchanged": 1,
        "embedded": 2,
    }
    assert photos.library.model.name == "other"


def test_files_forgotten_while_their_disk_is_away_stay_forgotten(photos, usb, unmount):
    mount = unmount(usb)
    chosen = [usb / "b.png", usb / "deep"]
    assert photos.library.forget(chosen) == Forgotten(2, (), tuple(chosen))
    photos.paint("z.png", "white")  # without it, the whole root would count as away
    gone = photos.folder / "a.png"
    gone.unlink()
    assert photos.library.forget([gone]) == Forgotten(1, (), ())
    mount()
    photos.paint("a.png", "red")
    assert photos.rescan() == {"added": 2, "embedded": 2}


def test_another_disk_of_the_same_number_at_the_same_place(photos, usb, unmount, mounted):
    """As with two cards in a reader, one after the other: no known file is there."""
    mount = unmount(usb)
    mounted[os.fsencode(usb)] = 1
    photos.paint("disks/usb/other.png", "white")
    lacks = "is on another device than before and lacks 2 files of the 2 that the library knows"
    assert photos.rescan() == {"unchanged": 1, "unavailable": (f"{usb} {lacks}{REMEDY}",)}
    mounted.pop(os.fsencode(usb))
    mount()
    assert photos.rescan() == {"unchanged": 3}


def test_another_disk_at_a_root(photos, monkeypatch):
    photos.paint("a.png", "red")
    photos.index()
    (photos.folder / "a.png").unlink()
    photos.paint("b.png", "green")
    monkeypatch.setattr(os.path, "ismount", lambda path: path == os.fsencode(photos.folder))
    assert "unavailable" in photos.rescan()
    monkeypatch.undo()
    assert photos.rescan() == {"added": 1, "deleted": 1, "embedded": 1}
