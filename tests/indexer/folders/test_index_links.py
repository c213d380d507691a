"""Symbolic links: ignored by default, followed on request, never in circles."""

import shutil

import pytest

from indexer import RootStatus


@pytest.fixture
def linked(photos):
    """One picture here and two outside: one in a linked folder, the other behind a link itself."""
    photos.paint("a.png", "red")
    outside = photos.folder.parent / "outside"
    photos.paint("../outside/sub/b.png", "green")
    photos.paint("../c.png", "blue")
    (photos.folder / "folder").symlink_to(outside)
    (photos.folder / "c.png").symlink_to(outside.parent / "c.png")
    (photos.folder / "broken.png").symlink_to("nowhere.png")
    return photos


def known(photos, sql):
    return [row[0].decode() for row in sql(photos.library, "SELECT path FROM files ORDER BY path")]


def test_links_are_followed_on_request_and_then_always(linked, sql, settled):
    assert linked.index() == {"added": 1, "embedded": 1}
    assert linked.index(follow_symlinks=True) == {"added": 2, "unchanged": 1, "embedded": 2}
    assert known(linked, sql) == ["a.png", "c.png", "folder/sub/b.png"]
    assert linked.rescan() == {"unchanged": 3}
    assert linked.library.roots() == [
        RootStatus(linked.folder, True, 3, "ok", follow_symlinks=True, exclude=())
    ]
    assert linked.ids("c.png", "folder/sub/b.png") == [2, 3]
    assert linked.library.items([3])[0].path == linked.folder / "folder/sub/b.png"


def test_links_are_ignored_again_on_request(linked, sql):
    linked.index(follow_symlinks=True)
    assert linked.rescan(follow_symlinks=False) == {"unchanged": 1, "deleted": 2}
    assert known(linked, sql) == ["a.png"]
    assert linked.rescan() == {"unchanged": 1}


def test_a_file_behind_a_link_is_watched_for_changes(linked):
    linked.index(follow_symlinks=True)
    path = linked.paint("../outside/sub/b.png", "yellow")
    linked.touch(path)
    assert linked.rescan() == {"changed": 1, "unchanged": 2, "embedded": 1}
    path.unlink()
    assert linked.rescan() == {"deleted": 1, "unchanged": 2}


def test_loops_end(photos, sql):
    photos.paint("deep/er/a.png", "red")
    (photos.folder / "deep/er/up").symlink_to(photos.folder)
    (photos.folder / "deep/er/same").symlink_to(".")
    (photos.folder / "above").symlink_to(photos.folder.parent)
    (photos.folder / "self").symlink_to("self")
    (photos.folder / "self.png").symlink_to("self.png")
    assert photos.index(follow_symlinks=True) == {"added": 1, "embedded": 1}
    assert known(photos, sql) == ["deep/er/a.png"]


def test_a_folder_with_two_paths_is_walked_once_at_its_real_location(photos, sql):
    photos.paint("z/a.png", "red")
    (photos.folder / "a").symlink_to("z")
    photos.paint("../outside/b.png", "green")
    for name in ("p", "o", "q"):
        (photos.folder / name).symlink_to(photos.folder.parent / "outside")
    assert photos.index(follow_symlinks=True) == {"added": 2, "embedded": 2}
    assert known(photos, sql) == ["o/b.png", "z/a.png"]
    # A scan of a part gives what a scan of the whole gives: q leads to the file known as o.
    assert photos.index(photos.folder / "q") == {"unchanged": 2}
    assert known(photos, sql) == ["o/b.png", "z/a.png"]
    (photos.folder / "o").unlink()
    assert photos.rescan() == {"moved": 1, "unchanged": 1}
    assert known(photos, sql) == ["p/b.png", "z/a.png"]


def test_a_folder_replaced_by_a_link_to_it_is_gone_by_default(photos):
    photos.paint("sub/a.png", "red")
    photos.paint("b.png", "green")
    photos.index()
    shutil.move(photos.folder / "sub", photos.folder.parent / "moved")
    (photos.folder / "sub").symlink_to(photos.folder.parent / "moved")
    assert photos.rescan() == {"deleted": 1, "unchanged": 1}
    assert photos.rescan(follow_symlinks=True) == {"added": 1, "unchanged": 1, "embedded": 1}


def test_a_folder_around_a_root_that_follows_links_follows_them(linked):
    linked.index(follow_symlinks=True)
    # The files behind links are in the new root: the folder at its real location, the file twice.
    report = linked.index(linked.folder.parent)
    assert report == {"moved": 1, "copied": 1, "unchanged": 2}
    (root,) = linked.library.roots()
    assert (root.path, root.follow_symlinks) == (linked.folder.parent, True)
