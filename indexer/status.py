"""The library at a glance."""

import sqlite3
from importlib import metadata
from pathlib import Path

from sqlalchemy import Connection, func, select

from indexer.ann import generations
from indexer.database import catalogue, connection, embeddings
from indexer.database.rows import Generation
from indexer.database.schema import SCHEMA_VERSION, items, passed_over
from indexer.folders import roots
from indexer.records import KINDS, GenerationStatus, Status


def status(db: Connection, directory: Path) -> Status:
    """What is in the library in `directory`.

    Reads the generation files to check that they are sound.
    """
    current = catalogue.current_model(db)
    failing, passing = catalogue.failure_counts(db)
    heads, reasons = [], []
    if current:
        for kind in KINDS:
            for head in catalogue.kept_generations(db, kind, current[0])[:1]:
                heads.append(_generation(head, *embeddings.pending(db, kind, current[0], head)))
                reasons.append(generations.why_degraded(directory, head))
    return Status(
        counts=dict.fromkeys(KINDS, 0) | catalogue.counts(db),
        untimed=_untimed(db),
        passed_over=_passed_over_files(db),
        failures=failing,
        passing=passing,
        roots=roots.statuses(db),
        model=current[1] if current else None,
        generations=heads,
        database_bytes=database_bytes(directory),
        journal_mode=connection.journal_mode(db),
        sqlite_version=sqlite3.sqlite_version,
        faiss_version=_faiss_version(),
        schema_version=SCHEMA_VERSION,
        degraded=next((reason for reason in reasons if reason), None),
    )


def _untimed(db: Connection) -> int:
    """How many live pictures have no capture time."""
    of_pictures = items.c.kind == "image"
    query = select(func.count()).where(of_pictures, items.c.taken_at.is_(None))
    number: int = db.execute(query).scalar_one()
    return number


def _passed_over_files(db: Connection) -> dict[str, int]:
    """How many files all roots passed over, by their endings; see the table `passed_over`."""
    c = passed_over.c
    query = select(c.ending, func.sum(c.files)).group_by(c.ending).order_by(c.ending)
    return {row[0]: row[1] for row in db.execute(query)}


def database_bytes(directory: Path) -> int:
    """Size of the database with its write-ahead log."""
    files = (directory / name for name in (connection.NAME, f"{connection.NAME}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _generation(head: Generation, live: int, delta: int, deleted: int) -> GenerationStatus:
    return GenerationStatus(
        kind=head.kind,
        type=head.type,
        count=head.count,
        bytes=head.bytes,
        seq=head.seq,
        delta=delta,
        deleted=deleted,
        nlist=head.nlist,
        nprobe=head.nprobe,
        recall=head.recall,
        curve=generations.recall_curve(head),
        mapped=generations.is_mapped(head),
    )


def _faiss_version() -> str:
    """FAISS is not imported for it, which would take a while."""
    for name in ("faiss-cpu", "faiss-gpu", "faiss"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""
