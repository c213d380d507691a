"""Libraries on file systems that several machines share, and on read-only ones."""

import errno
import logging
import os
import sqlite3
from pathlib import Path

import pytest

from encoder.fake import FakeEncoder
from indexer import Library, LibraryDamaged, LibraryLocked, StorageError
from indexer.database import connection, filesystem

MOUNTS = b"""\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:20 / /proc rw,nosuid - proc proc rw
40 21 0:40 / /mnt/photos rw shared:9 master:2 - nfs4 server:/photos rw,vers=4.2
41 40 8:2 / /mnt/photos/local rw - xfs /dev/sdb1 rw
42 21 0:41 / /mnt/my\\040pictures\\134 rw - cifs //server/x rw
43 21 0:42 / /mnt/twice rw - nfs server:/a rw
44 43 0:43 / /mnt/twice rw - ext4 /dev/sdc1 rw
45 21 0:44 / /mnt/ssh rw - fuse.sshfs me@there: rw
46 21 0:45 / /mnt/caf\xe9 rw - smb3 //server/y rw
"""


@pytest.mark.parametrize(
    ("folder", "type", "shared"),
    [
        (b"/", "ext4", False),
        (b"/home/me/.align", "ext4", False),
        (b"/mnt/photos", "nfs4", True),
        (b"/mnt/photos/2024/.align", "nfs4", True),
        (b"/mnt/photos/local/.align", "xfs", False),
        (b"/mnt/photos2/.align", "ext4", False),
        (b"/mnt/my pictures\\/.align", "cifs", True),
        (b"/mnt/twice/.align", "ext4", False),
        (b"/mnt/ssh/.align", "fuse.sshfs", True),
        (b"/mnt/caf\xe9/.align", "smb3", True),
    ],
)
def test_the_type_of_a_file_system(tmp_path, monkeypatch, folder, type, shared):
    (tmp_path / "mountinfo").write_bytes(MOUNTS)
    monkeypatch.setattr(filesystem, "_MOUNTS", tmp_path / "mountinfo")
    monkeypatch.setattr("os.path.realpath", lambda path: path)
    assert filesystem.type_of(Path(os.fsdecode(folder))) == type
    assert filesystem.is_shared(type) == shared


def test_the_types_of_this_machine(tmp_path, monkeypatch):
    assert filesystem.type_of(Path("/proc/self")) == "proc"
    monkeypatch.setattr(filesystem, "_MOUNTS", tmp_path / "none")
    monkeypatch.setattr(filesystem, "_MOUNT_COMMAND", str(tmp_path / "none"))
    assert filesystem.type_of(Path("/proc/self")) == ""


MOUNT_COMMAND = """\
#!/bin/sh
cat <<'END'
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
devfs on /dev (devfs, local, nobrowse)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
//me@nas._smb._tcp.local/photos on /Volumes/My (old) photos (smbfs, nodev, nosuid, mounted by me)
nas:/films on /Volumes/films (nfs)
/dev/disk5s1 on /Volumes/films/local on disk (exfat, local, nodev, nosuid, noowners)
END
"""


@pytest.mark.parametrize(
    ("folder", "type", "shared"),
    [
        ("/Users/me/.align", "apfs", False),
        ("/System/Volumes/Data/Users/me", "apfs", False),
        ("/Volumes/My (old) photos/2024", "smbfs", True),
        ("/Volumes/films/.align", "nfs", True),
        ("/Volumes/films/local on disk/.align", "exfat", False),
    ],
)
def test_where_the_kernel_lists_no_mounts_the_command_does(
    tmp_path, monkeypatch, folder, type, shared
):
    """As on macOS."""
    command = tmp_path / "mount"
    command.write_text(MOUNT_COMMAND)
    command.chmod(0o755)
    monkeypatch.setattr(filesystem, "_MOUNTS", tmp_path / "none")
    monkeypatch.setattr(filesystem, "_MOUNT_COMMAND", str(command))
    monkeypatch.setattr("os.path.realpath", lambda path: path)
    assert filesystem.type_of(Path(folder)) == type
    assert filesystem.is_shared(type) == shared


def test_where_nothing_tells_the_type_the_safe_journal_is_used(tmp_path, make_photos, on, caplog):
    on("")
    photos = make_photos("odd")
    photos.paint("a.png", "red")
    photos.index()
    assert photos.library.status().journal_mode == "delete"
    assert "a file system (of a type that the system does not tell)" in caplog.text


@pytest.fixture
def on(monkeypatch):
    """Let every library lie on a file system of this type from now on."""
    return lambda type: monkeypatch.setattr(filesystem, "type_of", lambda folder: type)


def log(photos):
    return photos.library.path / "library.db-wal"


def test_a_new_library_on_a_network(tmp_path, make_photos, on, caplog):
    on("nfs4")
    photos = make_photos("far")
    photos.paint("a.png", "red")
    assert photos.index() == {"added": 1, "embedded": 1}
    assert photos.library.status().journal_mode == "delete"
    assert photos.nearest("red") == [1]
    assert sorted(path.name for path in photos.library.path.iterdir()) == [
        "generations",
        "library.db",
        "writer.lock",
    ]
    said = [record.getMessage() for record in caplog.records if record.levelno > logging.INFO]
    file = photos.library.path / "library.db"
    assert said == [
        f"{file} lies on a file system (nfs4) that several machines may share, where SQLite's"
        " write-ahead log is not safe: searches wait while a batch is written"
    ]


def test_commits_are_durable_on_a_network_too(photos, on):
    on("cifs")
    engine = connection.connect(photos.library.path / "library.db", writable=True)
    with engine.connect() as db:
        assert db.exec_driver_sql("PRAGMA synchronous").scalar_one() == 3
    engine.dispose()


def test_a_library_is_converted_by_the_writer_wherever_it_comes_to_lie(photos, on):
    photos.paint("a.png", "red")
    photos.index()
    assert photos.library.status().journal_mode == "wal"
    for n, (place, mode) in enumerate([("nfs", "delete"), ("ext4", "wal"), ("9p", "delete")]):
        on(place)
        photos.nearest("red")  # leaves a connection open
        photos.paint(f"{n}.png", (n, 0, 0))
        assert photos.rescan() == {"added": 1, "embedded": 1, "unchanged": n + 1}
        assert photos.library.status().journal_mode == mode
        assert len(photos.nearest("red", 9)) == n + 2
        if mode == "delete":
            assert not log(photos).exists()


def test_a_search_in_the_way_of_converting(photos, on, monkeypatch):
    monkeypatch.setattr(
        "indexer.database.connection.sqlite3.connect",
        lambda *a, real=sqlite3.connect, **k: real(*a, **k | {"timeout": 0}),
    )
    photos.paint("a.png", "red")
    photos.index()
    on("nfs")
    with Library.open(photos.folder) as other:
        assert other.status().counts["image"] == 1
        with pytest.raises(LibraryLocked) as caught:
            photos.rescan()
    assert str(caught.value) == (
        f"{photos.library.path / 'library.db'} lies on another file system than when it was"
        " written last and must be converted, but a search has it open; end that and run again"
    )
    assert photos.rescan() == {"unchanged": 1}


@pytest.fixture
def read_only(photos, monkeypatch):
    """Photos in a folder where no file can be made, by SQLite as little as by us."""
    photos.paint("a.png", "red")
    photos.paint("b.png", "blue")
    photos.index()
    photos.library.close()
    directory = photos.library.path
    assert sorted(path.name for path in directory.iterdir()) == [
        "generations",
        "library.db",
        "writer.lock",
    ]
    monkeypatch.setattr(filesystem, "is_writable", lambda folder: False)
    return photos


def test_searching_where_nothing_can_be_written(read_only):
    before = sorted(read_only.library.path.iterdir())
    with Library.open(read_only.folder) as library:
        read_only.library = library
        assert library.status().counts == {"image": 2, "text": 0}
        assert read_only.nearest("blue") == [2]
        assert sorted(read_only.library.path.iterdir()) == before  # SQLite made none either


def test_a_log_with_content_is_read_as_ever(read_only, monkeypatch):
    """As long as its neighbours are there, even where no file can be made."""
    with monkeypatch.context() as patch:
        patch.setattr(filesystem, "is_writable", lambda folder: True)
        read_only.paint("c.png", "green")
        with Library.open(read_only.folder) as reader:
            assert reader.status().counts["image"] == 2
            writer = connection.connect(read_only.library.path / "library.db", writable=True)
            with writer.begin() as db:
                db.exec_driver_sql("UPDATE library SET created_at = 'now'")
            assert log(read_only).stat().st_size > 0
            patch.setattr(filesystem, "is_writable", lambda folder: False)
            fresh = connection.connect(read_only.library.path / "library.db", writable=False)
            with fresh.begin() as db:
                found = db.exec_driver_sql("SELECT created_at FROM library").scalar_one()
            assert found == "now"
            fresh.dispose()
            writer.dispose()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a read-only file system")
def test_a_folder_that_is_really_read_only(photos, tmp_path):
    """In a mount namespace of its own, as any user without a write permission meets it."""
    import subprocess
    import sys

    photos.paint("a.png", "red")
    photos.index()
    photos.library.close()
    code = f"""
from indexer import Library
import numpy, pathlib
with Library.open({str(photos.folder)!r}) as library:
    print(library.search(numpy.array([1, 0, 0, 0], "f4"), 1).ids, library.status().journal_mode)
try:
    pathlib.Path({str(photos.library.path)!r}, "x").touch()
except OSError as error:
    print(error.strerror)
"""
    shell = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" -c "$3"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", shell, "sh", photos.folder, sys.executable, code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if not done.stdout:
        pytest.skip(f"no mount namespaces here: {done.stderr.strip()[-200:]}")
    assert done.stdout == "[1] delete\nRead-only file system\n"


def test_a_log_that_cannot_be_read(photos, monkeypatch):
    def cannot(*_, **__):
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise error

    monkeypatch.setattr(filesystem, "is_writable", lambda folder: False)
    monkeypatch.setattr("indexer.database.connection.sqlite3.connect", cannot)
    with pytest.raises(LibraryDamaged, match="run `align index` once where it can be written"):
        Library.open(photos.folder)


def test_changing_what_cannot_be_written_is_a_sentence(photos, monkeypatch):
    photos.paint("a.png", "red")
    photos.index()

    def refuse(lock, **how):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    for change in (
        lambda: photos.library.index([], FakeEncoder),
        lambda: photos.library.forget([photos.folder / "a.png"]),
    ):
        with pytest.raises(StorageError, match=r"Read-only file system.*only where it is writable"):
            change()
