"""Opening, creating, finding and migrating a library, and what importing it loads."""

import os
import subprocess
import sys
import time
from importlib.metadata import metadata as metadata_of
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

import indexer
from indexer import (
    GenerationStatus,
    Library,
    LibraryDamaged,
    LibraryError,
    LibraryLocked,
    LibraryNotFound,
    Model,
    NewerLibrary,
    RootStatus,
    Status,
    StorageError,
    find_library,
)
from indexer.database import connection
from indexer.database.lock import writing
from indexer.database.schema import SCHEMA_VERSION, metadata


def test_the_package_exports_exactly_its_public_names():
    public = {name for name, value in vars(indexer).items() if not name.startswith("_")}
    modules = {name for name in public if isinstance(getattr(indexer, name), type(os))}
    assert sorted(public - modules, key=indexer.__all__.index) == indexer.__all__


def test_every_error_is_a_library_error_and_drawn_in_the_tree():
    from indexer import errors

    for name, value in vars(errors).items():
        if isinstance(value, type) and name != "AlignError":
            assert issubclass(value, LibraryError)
            assert f"── {name} " in errors.__doc__


def test_create_open_and_find(tmp_path):
    folder = tmp_path / "photos"
    inside = folder / "2024" / "may"
    with Library.create(folder) as library:
        assert library.path == folder / ".align"
    inside.mkdir(parents=True)
    for path in (folder, folder / ".align"):
        with Library.open(path) as library, Library.create(path) as again:
            assert library.path == again.path == folder / ".align"
    assert find_library(inside) == folder / ".align"
    assert find_library(folder) == folder / ".align"
    assert find_library(folder / ".align") == folder / ".align"
    assert find_library(tmp_path) is None


def test_relative_paths_and_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with Library.create("photos") as library:
        assert library.path == tmp_path / "photos/.align"
    with Library.open("~/photos") as library:
        assert library.path == tmp_path / "photos/.align"
    assert find_library("photos") == tmp_path / "photos/.align"


def test_no_library(tmp_path):
    with pytest.raises(LibraryNotFound) as caught:
        Library.open(tmp_path)
    assert str(caught.value) == (
        f"there is no library at {tmp_path}; make one with `align index {tmp_path}`"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_newer_library_is_left_alone(photos, sql):
    sql(photos.library, "UPDATE alembic_version SET version_num = '0999'")
    with pytest.raises(NewerLibrary) as caught:
        Library.open(photos.folder)
    assert str(caught.value) == (
        f"{photos.library.path / 'library.db'} has schema 999 but this program knows up to"
        f" {SCHEMA_VERSION}; upgrade align-retrieval"
    )


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / ".align").mkdir()
    (tmp_path / ".align/library.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(LibraryDamaged) as caught:
        Library.open(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / '.align/library.db'} cannot be read (file is not a database); restore it from"
        " a backup, or delete it and run `align index` again"
    )


def test_migrating_from_empty_gives_the_schema(tmp_path):
    """Compared in two ways: by Alembic, and by the statements that SQLite keeps."""
    kept = []
    for name, make in (
        ("migrated", lambda _, path: connection.migrate(path)),
        ("direct", lambda engine, _: metadata.create_all(engine)),
    ):
        engine = connection.connect(tmp_path / name, writable=True)
        make(engine, tmp_path / name)
        with engine.begin() as db:
            context = MigrationContext.configure(
                db, opts={"include_name": lambda name, *_: name != "alembic_version"}
            )
            assert compare_metadata(context, metadata) == []
            rows = db.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL")
            kept.append({name: "".join(sql.split()) for name, sql in rows})
        engine.dispose()
    del kept[0]["alembic_version"]
    assert kept[0] == kept[1]


def test_migration_numbers_match_the_schema():
    versions = Path(indexer.__file__).parent / "database/migrations/versions"
    numbers = [int(path.name[:4]) for path in sorted(versions.glob("0*.py"))]
    assert numbers == list(range(1, SCHEMA_VERSION + 1))


def test_a_library_that_was_created_by_half_is_completed_on_opening(tmp_path):
    (tmp_path / ".align").mkdir()
    (tmp_path / ".align/library.db").touch()
    with writing(tmp_path / ".align"), pytest.raises(LibraryLocked):
        Library.open(tmp_path)
    with Library.open(tmp_path, wait=9) as library:
        assert library.status().counts == {"image": 0, "text": 0}


def test_opening_waits_for_a_process_that_migrates(tmp_path):
    (tmp_path / ".align").mkdir()
    (tmp_path / ".align/library.db").touch()
    with writing(tmp_path / ".align"):
        started = time.monotonic()
        with pytest.raises(LibraryLocked):
            Library.create(tmp_path, wait=0.2)
        assert time.monotonic() - started >= 0.2


def test_migrating_is_all_or_nothing(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("indexer.database.connection.uuid.uuid4", None)
        with pytest.raises(TypeError):
            Library.create(tmp_path)
    engine = connection.connect(tmp_path / ".align/library.db", writable=True)
    with engine.begin() as db:
        assert sqlalchemy.inspect(db).get_table_names() == []
    engine.dispose()
    with Library.create(tmp_path) as library:
        assert library.model is None


def test_the_database_is_durable_and_in_wal_mode(photos):
    engine = connection.connect(photos.library.path / "library.db", writable=True)
    with engine.connect() as db:
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        values = [db.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in pragmas]
    engine.dispose()
    assert values == ["wal", 2, 1]


def test_readers_cannot_write(photos):
    with (
        photos.library._reader.begin() as db,
        pytest.raises(StorageError, match="readonly database"),
    ):
        db.exec_driver_sql("DELETE FROM items")


def test_status(photos):
    photos.paint("a.png", "red")
    photos.write("bad.png", "x")
    caption = photos.write("c.txt", "red\ngreen")
    photos.index(photos.folder, caption)
    status = photos.library.status()
    size = {g.kind: g.bytes for g in status.generations}
    file = photos.library.path / "library.db"
    assert status == Status(
        counts={"image": 1, "text": 2},
        untimed=1,
        passed_over={},
        failures=1,
        passing=0,
        roots=[RootStatus(photos.folder, True, 3)],
        model=Model("fake", "fa4e", 4),
        generations=[
            GenerationStatus(
                "image", "flat", 1, size["image"], 3, 0, 0, None, None, 1.0, None, False
            ),
            GenerationStatus(
                "text", "flat", 2, size["text"], 3, 0, 0, None, None, 1.0, None, False
            ),
        ],
        database_bytes=file.stat().st_size
        + (wal.stat().st_size if (wal := file.with_name("library.db-wal")).exists() else 0),
        journal_mode="wal",
        sqlite_version=sqlalchemy.create_engine("sqlite://").dialect.dbapi.sqlite_version,
        faiss_version=metadata_of("faiss-cpu")["Version"],
        schema_version=SCHEMA_VERSION,
        degraded=None,
    )


def loaded_after(code, folder):
    script = f"""
import sys
from pathlib import Path
from indexer import Library
folder = Path({str(folder)!r})
{code}
heavy = ("torch", "tokenizers", "faiss", "alembic", "click")
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_nothing_heavy_is_loaded_without_need(photos):
    photos.paint("a.png", "red")
    photos.index()
    code = "Library.open(folder).index([folder], None); Library.open(folder).status()"
    assert loaded_after(code, photos.folder) == "[]"
    search = "import numpy; Library.open(folder).search(numpy.ones(4, 'f4'), 1)"
    assert loaded_after(search, photos.folder) == "['faiss']"


def test_an_encoder_is_loaded_only_in_the_thread_that_called_index(photos):
    import threading

    photos.paint("a.png", "red")
    threads = []

    def load():
        from encoder.fake import FakeEncoder

        threads.append(threading.current_thread())
        return FakeEncoder()

    photos.library.index([photos.folder], load)
    assert threads == [threading.current_thread()]


def test_a_run_leaves_everything_in_the_database_file(photos):
    photos.paint("red.png", "red")
    photos.index()
    log = photos.library.path / "library.db-wal"
    assert not log.exists() or log.stat().st_size == 0
    photos.paint("blue.png", "blue")
    photos.index()
    assert not log.exists() or log.stat().st_size == 0
    assert photos.nearest("blue") == photos.ids("blue.png")
