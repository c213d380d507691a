"""Generations: published whole, replaced when worthwhile, and checked before use."""

import os

import faiss
import numpy as np
import pytest

from encoder.fake import FakeEncoder
from indexer import GenerationError, GenerationStatus, Library
from indexer.ann import faiss_index


def files(photos):
    return sorted(path.name for path in (photos.library.path / "generations").iterdir())


def generations(photos):
    return photos.library.status().generations


@pytest.fixture
def two(photos):
    """Pictures 1 and 2 in a first generation, 1 to 4 in the second, the head."""
    photos.paint("a.png", "red")
    photos.paint("b.png", "green")
    photos.index()
    photos.paint("c.png", "blue")
    photos.paint("d.png", "yellow")
    photos.index()
    return photos


def head_file(photos, sql):
    names = sql(photos.library, "SELECT name FROM generations ORDER BY id DESC")
    return photos.library.path / "generations" / names[0][0]


def test_what_is_published(two, sql):
    path = head_file(two, sql)
    index = faiss.read_index(str(path))
    assert faiss.vector_to_array(index.id_map).tolist() == [1, 2, 3, 4]
    expected = FakeEncoder().encode_texts(["red", "green", "blue", "yellow"]).astype(np.float16)
    stored = faiss.downcast_index(index.index).reconstruct_n(0, 4)
    np.testing.assert_array_equal(stored, expected.astype(np.float32))
    assert generations(two) == [
        GenerationStatus(
            kind="image",
            type="flat",
            count=4,
            bytes=path.stat().st_size,
            seq=4,
            delta=0,
            deleted=0,
            nlist=None,
            nprobe=None,
            recall=1.0,
            curve=None,
            mapped=False,
        )
    ]
    assert path.name.startswith("4-")
    rows = sql(two.library, "SELECT seq, type, recall, faiss_version FROM generations ORDER BY id")
    assert rows == [(2, "flat", 1.0, faiss.__version__), (4, "flat", 1.0, faiss.__version__)]


def test_the_last_generation_is_kept_and_older_ones_and_litter_are_removed(two, sql):
    unfinished = "5-01234567-89ab-cdef-0123-456789abcdef.faiss"
    for ending in ("", ".align.tmp", ".spool"):
        litter = two.library.path / "generations" / f"{unfinished}{ending}"
        litter.write_bytes(b"a crash left this")
    first = files(two)
    two.paint("e.png", "white")
    two.index()
    names = sql(two.library, "SELECT name FROM generations ORDER BY id")
    assert files(two) == sorted(name for (name,) in names)
    assert len(names) == 2
    assert names[0][0] in first


def write(library):
    library.annotate(library.path.parent / "t.csv")


def rebuild(library):
    library.rebuild(FakeEncoder)


def repair(library):
    library.repair(FakeEncoder)


@pytest.mark.parametrize("command", [write, rebuild, repair])
def test_nothing_foreign_is_removed(two, sql, command):
    two.write("t.csv", "path,n\na.png,1\n")
    folder, ours = two.library.path / "generations", "5-01234567-89ab-cdef-0123-456789abcdef"
    (two.folder / "outside").mkdir()
    precious = two.folder / "outside/precious.txt"
    precious.write_text("mine")
    (folder / "notes.txt").write_text("mine")
    (folder / "5-x.faiss").write_text("not our kind of name")
    (folder / f"{ours}.faiss").mkdir()
    (folder / f"{ours}.faiss/inside.txt").write_text("mine")
    (folder / f"6{ours}.faiss").symlink_to(precious)
    (folder / f"7{ours}.faiss").symlink_to(precious.parent)
    foreign = {"notes.txt", "5-x.faiss", f"{ours}.faiss", f"6{ours}.faiss", f"7{ours}.faiss"}
    if command is repair:
        sql(two.library, "UPDATE generations SET bytes = 1")
    command(two.library)
    assert foreign <= set(files(two))
    assert precious.read_text() == "mine"
    assert (folder / f"{ours}.faiss/inside.txt").read_text() == "mine"
    assert two.library.verify() == []


def test_nothing_is_removed_or_written_behind_a_link(two):
    """Not even files with names of ours: another library may have written them."""
    folder, elsewhere = two.library.path / "generations", two.folder / "elsewhere"
    folder.rename(elsewhere)
    (elsewhere / "9-01234567-89ab-cdef-0123-456789abcdef.faiss").write_bytes(b"another library's")
    before = {path: path.read_bytes() for path in elsewhere.iterdir()}
    folder.symlink_to(elsewhere)
    two.paint("e.png", "white")
    with pytest.raises(GenerationError, match="is a symbolic link"):
        two.index()
    assert {path: path.read_bytes() for path in elsewhere.iterdir()} == before
    assert two.nearest("white") == two.ids("e.png")
    folder.unlink()
    two.library.repair(FakeEncoder)
    assert two.library.verify() == []


def test_small_changes_do_not_publish_at_once(photos):
    for n in range(150):
        photos.paint(f"{n:03}.png", (n, 0, 0))
    photos.index()
    photos.paint("new.png", "green")
    photos.rescan()
    assert [(g.count, g.delta, g.deleted) for g in generations(photos)] == [(150, 1, 0)]
    assert photos.nearest("green") == photos.ids("new.png")
    (photos.folder / "000.png").unlink()
    photos.rescan()
    assert [(g.count, g.delta, g.deleted) for g in generations(photos)] == [(150, 0, 0)]


def delete(path):
    path.unlink()


def truncate(path):
    os.truncate(path, path.stat().st_size - 1)


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


DAMAGE = [
    (delete, "cannot be read (No such file or directory)"),
    (truncate, "is {less} bytes long instead of {size}"),
    (flip, "is damaged (its checksum is wrong)"),
]


@pytest.mark.parametrize(("damage", "what"), DAMAGE)
@pytest.mark.parametrize("both", [False, True])
def test_a_damaged_head_falls_back_and_says_so(two, sql, damage, what, both):
    two.paint("e.png", "white")
    path = head_file(two, sql)
    size = path.stat().st_size
    for name in files(two) if both else [path.name]:
        damage(path.parent / name)
    reason = (
        f"generations/{path.name} {what.format(size=size, less=size - 1)}; searching without it"
    )
    vector = FakeEncoder().encode_texts(["blue"])[0]
    with Library.open(two.folder) as fresh:
        found = fresh.search(vector, 9)
        opened = fresh._views["image"].opened
        assert fresh.status().degraded == reason
    assert found.degraded == reason
    assert found.ids.tolist() == [3, 1, 2, 4]
    np.testing.assert_allclose(found.scores, [1, 0.5, 0.5, 6**-0.5], atol=1e-3)
    assert (opened.row.count if opened else None) == (None if both else 2)


def test_a_file_that_holds_something_else_is_not_used(two, sql):
    """Size and checksum are right, but the row was made for other vectors."""
    sql(two.library, "UPDATE generations SET count = 7 WHERE seq = 4")
    with Library.open(two.folder) as fresh:
        found = fresh.search(FakeEncoder().encode_texts(["blue"])[0], 9)
    assert found.ids.tolist() == two.nearest("blue", 9)
    assert found.degraded.endswith("holds other vectors than were published; searching without it")


def test_a_file_that_faiss_cannot_read_is_not_used(two, sql):
    from hashlib import sha256

    path = head_file(two, sql)
    data = b"????" + path.read_bytes()[4:]
    path.write_bytes(data)
    sql(two.library, "UPDATE generations SET sha256 = ? WHERE seq = 4", sha256(data).digest())
    with Library.open(two.folder) as fresh:
        found = fresh.search(FakeEncoder().encode_texts(["blue"])[0], 9)
        assert fresh._views["image"].opened.row.seq == 2
    assert found.ids.tolist() == two.nearest("blue", 9)
    assert "not recognized" in str(found.degraded)


def test_the_next_generation_ends_the_degradation(two, sql):
    head_file(two, sql).unlink()
    assert two.library.search(FakeEncoder().encode_texts(["blue"])[0], 1).degraded is not None
    two.paint("e.png", "white")
    two.index()
    found = two.library.search(FakeEncoder().encode_texts(["white"])[0], 1)
    assert (found.ids.tolist(), found.degraded) == ([5], None)
    assert two.library.status().degraded is None


def test_a_full_disk_loses_no_item(photos, monkeypatch):
    photos.paint("a.png", "red")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("encoder.durable.os.fsync", full)
        with pytest.raises(GenerationError) as caught:
            photos.index()
    assert str(caught.value).endswith(
        "could not be written (No space left on device); all items are safe and searched exactly,"
        " make room and run `align index` again"
    )
    assert photos.nearest("red") == [1]
    assert generations(photos) == []
    photos.rescan()
    assert [g.count for g in generations(photos)] == [1]
    assert len(files(photos)) == 1


def test_a_file_that_comes_out_short_is_never_published(photos, monkeypatch):
    photos.paint("a.png", "red")
    write = faiss_index.write

    def cut(index, hashed):
        write(index, hashed)
        hashed._file.truncate(9)

    monkeypatch.setattr(faiss_index, "write", cut)
    with pytest.raises(GenerationError, match=r"came out shorter than written"):
        photos.index()
    assert generations(photos) == []
    assert files(photos) == []


def test_everything_deleted_is_an_empty_generation(two):
    for path in two.folder.glob("*.png"):
        path.unlink()
    two.write("note.md", "on purpose")
    two.rescan()
    assert [(g.count, g.delta, g.deleted) for g in generations(two)] == [(0, 0, 0)]
    assert two.nearest("red", 5) == []


@pytest.fixture
def mapped(two, monkeypatch):
    """As if two items were too many to keep them in memory."""
    monkeypatch.setattr("indexer.ann.generations.FLAT_LIMIT", 1)
    return two


def test_a_small_index_stands_whatever_happens_to_its_file(two, sql):
    with Library.open(two.folder) as library:
        vector = FakeEncoder().encode_texts(["blue"])[0]
        before = library.search(vector, 9)
        assert not library.status().generations[0].mapped
        os.truncate(head_file(two, sql), 0)
        after = library.search(vector, 9)
        assert (after.ids.tolist(), after.degraded) == (before.ids.tolist(), None)


def test_a_mapped_file_that_was_cut_is_not_touched(mapped, sql):
    """To read behind its end would kill the process."""
    vector = FakeEncoder().encode_texts(["blue"])[0]
    with Library.open(mapped.folder) as library:
        before = library.search(vector, 9)
        assert before.degraded is None
        assert library.status().generations[0].mapped
        path = head_file(mapped, sql)
        os.truncate(path, 100)
        after = library.search(vector, 9)
        assert after.ids.tolist() == before.ids.tolist()
        assert after.degraded.startswith(f"generations/{path.name} is 100 bytes long instead of ")
        assert library.near([1], 0.9)[0].tolist() == [1]


def test_a_mapped_file_that_was_removed_is_still_read(mapped, sql):
    vector = FakeEncoder().encode_texts(["blue"])[0]
    with Library.open(mapped.folder) as library:
        before = library.search(vector, 9)
        head_file(mapped, sql).unlink()
        after = library.search(vector, 9)
        assert (after.ids.tolist(), after.degraded) == (before.ids.tolist(), None)


def test_what_a_file_may_make_faiss_allocate_is_limited_by_its_size(two, sql):
    with Library.open(two.folder) as library:
        library.search(FakeEncoder().encode_texts(["blue"])[0], 1)
    size = head_file(two, sql).stat().st_size
    assert faiss.get_deserialization_vector_byte_limit() == size
    assert faiss.get_deserialization_loop_limit() == size
