"""Whole files: what happens on the disk, in which order, and what is left after a failure."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from encoder import durable
from encoder.durable import make_folder, remove_file, replacing, sync, write_whole


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The syncs and renames, each with the name of its file or folder."""
    made: list[tuple[str, str]] = []

    def recording(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Path, *others: Path) -> Any:
            made.append((name, path.name))
            return real(path, *others)

        return call

    monkeypatch.setattr(durable, "sync", recording("sync", durable.sync))
    monkeypatch.setattr(Path, "replace", recording("rename", Path.replace))
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the file ``file``, which holds ``old``."""
    made = tmp_path / "folder"
    made.mkdir()
    (made / "file").write_bytes(b"old")
    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_file_is_synced_before_the_rename_and_the_folder_after(
    folder: Path, calls: list[tuple[str, str]]
) -> None:
    with write_whole(folder / "file") as file:
        file.write(b"new ")
        file.write(b"content")
        assert contents(folder).keys() == {"file", "file.align.tmp"}
        assert calls == []
    assert contents(folder) == {"file": b"new content"}
    assert calls == [("sync", "file.align.tmp"), ("rename", "file.align.tmp"), ("sync", "folder")]


def test_content_that_is_easily_made_again_is_not_synced(
    folder: Path, calls: list[tuple[str, str]]
) -> None:
    with write_whole(folder / "file", durable=False) as file:
        file.write(b"new")
    assert contents(folder) == {"file": b"new"}
    assert calls == [("rename", "file.align.tmp")]


def test_a_program_that_takes_a_path_is_given_one(
    folder: Path, calls: list[tuple[str, str]]
) -> None:
    with replacing(folder / "file") as temporary:
        assert temporary == folder / "file.align.tmp"
        temporary.write_bytes(b"new")
    assert contents(folder) == {"file": b"new"}
    assert [name for name, _ in calls] == ["sync", "rename", "sync"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), ValueError("a bug")])
def test_a_failure_half_way_leaves_the_old_file_and_nothing_else(
    folder: Path, failure: BaseException
) -> None:
    def write() -> None:
        with write_whole(folder / "file") as file:
            file.write(b"half")
            raise failure

    with pytest.raises(type(failure)):
        write()
    assert contents(folder) == {"file": b"old"}


@pytest.mark.parametrize("call", ["encoder.durable.os.fsync", "pathlib.Path.replace"])
def test_a_full_disk_is_an_error_that_names_the_file(
    folder: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(call, full)
    with pytest.raises(OSError, match="No space left") as caught, write_whole(folder / "file"):
        pass
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(folder / "file"))
    assert contents(folder) == {"file": b"old"}


def test_a_folder_that_is_not_there_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "none" / "file"
    with pytest.raises(FileNotFoundError) as caught, write_whole(path):
        pass
    assert caught.value.filename == str(path)


def test_a_file_that_comes_out_shorter_than_written_is_refused(folder: Path) -> None:
    def write() -> None:
        with write_whole(folder / "file") as file:
            file.write(b"0123456789")
            file.truncate(9)

    with pytest.raises(OSError, match="it came out shorter than written") as caught:
        write()
    assert caught.value.filename == str(folder / "file")
    assert contents(folder) == {"file": b"old"}


def test_a_file_that_a_killed_writer_left_is_overwritten(folder: Path) -> None:
    (folder / "file.align.tmp").write_bytes(b"a longer text than the new one")
    with write_whole(folder / "file") as file:
        file.write(b"new")
    assert contents(folder) == {"file": b"new"}


@pytest.mark.parametrize("durable", [True, False])
def test_what_lies_in_the_place_of_the_temporary_file_is_not_touched(
    folder: Path, durable: bool
) -> None:
    precious, temporary = folder / "precious", folder / "file.align.tmp"
    precious.write_bytes(b"mine")
    temporary.symlink_to(precious)
    with (
        pytest.raises(OSError, match="no plain file"),
        write_whole(folder / "file", durable=durable),
    ):
        pass
    assert temporary.readlink() == precious
    assert precious.read_bytes() == b"mine"
    temporary.unlink()
    temporary.mkdir()
    with (
        pytest.raises(OSError, match="no plain file"),
        write_whole(folder / "file", durable=durable),
    ):
        pass
    assert temporary.is_dir()
    assert (folder / "file").read_bytes() == b"old"


def test_only_plain_files_are_removed(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "file")
    (folder / "folder").mkdir()
    for name in ("file", "link", "folder", "gone"):
        remove_file(folder / name)
    assert sorted(path.name for path in folder.iterdir()) == ["folder", "link"]


def test_folders_are_made_one_by_one_and_each_is_made_durable(
    tmp_path: Path, calls: list[tuple[str, str]]
) -> None:
    make_folder(tmp_path / "a/b/c")
    assert (tmp_path / "a/b/c").is_dir()
    assert calls == [("sync", tmp_path.name), ("sync", "a"), ("sync", "b")]
    make_folder(tmp_path / "a/b/c")
    assert len(calls) == 3


def test_a_file_system_that_cannot_sync_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(number: int) -> Callable[[int], None]:
        def fsync(handle: int) -> None:
            raise OSError(number, os.strerror(number))

        return fsync

    monkeypatch.setattr("encoder.durable.os.fsync", failing(errno.EINVAL))
    sync(tmp_path)
    monkeypatch.setattr("encoder.durable.os.fsync", failing(errno.EIO))
    with pytest.raises(OSError, match="Input/output error") as caught:
        sync(tmp_path)
    assert caught.value.filename == str(tmp_path)
