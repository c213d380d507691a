"""Rebuild what is derived: whatever `verify` finds and the database or the files can give again."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, insert, literal_column, select, update

from indexer import journal
from indexer.catalogue import among
from indexer.errors import LibraryDamaged
from indexer.records import Finding, Repair
from indexer.schema import changes, embeddings, files, generations, items, library, metadata
from indexer.verify import verify


def repair(engine: Engine, directory: Path, home: bytes, publish: Callable[[], None]) -> Repair:
    """Mend what can be mended and `publish` new generations. For the holder of the writer lock.

    Raises LibraryDamaged, and changes nothing, where the database itself is damaged.
    """
    found = verify(engine, directory, home)
    for finding in found:
        if not finding.repairable:
            raise LibraryDamaged(f"{finding.where} cannot be repaired: {finding.problem}")
    if found:
        with engine.begin() as db:
            lost = _mend(db, found)
            needed = set(db.execute(select(generations.c.name)).scalars())
        for path in (directory / "generations").glob("*"):
            if path.name not in needed:
                path.unlink()
        publish()
        return Repair(found, lost)
    return Repair([], [])


def _mend(db: Connection, found: Sequence[Finding]) -> list[str]:
    """Make the database sound; what was lost by it, in sentences."""
    lost: list[str] = []
    ids = {what: _ids(found, what) for what in ("item", "record", "embedding", "change")}
    for finding in found:
        if finding.what == "reference":
            lost += _drop_rows(db, finding)
    if ids["item"]:
        _read_again(db, ids["item"])
        journal.delete_items(db, ids["item"])
        lost.append(
            f"{len(ids['item'])} damaged texts, which the next `align index` reads again as new"
            " items"
        )
    if ids["record"]:
        _read_again(db, ids["record"])
        lost.append(
            f"what was known of the files of {len(ids['record'])} items, which the next"
            " `align index` reads again"
        )
    if ids["embedding"]:
        _drop_embeddings(db, ids["embedding"])
        lost.append(
            f"{len(ids['embedding'])} embeddings: their items are found again when `align index`"
            " has embedded them anew"
        )
    _correct_log(db, ids["change"])
    if {finding.what for finding in found} == {"generation"}:
        names = [finding.where.removeprefix("generations/") for finding in found]
        db.execute(delete(generations).where(generations.c.name.in_(names)))
    else:  # each was built from what is now corrected
        db.execute(delete(generations))
    return lost


def _ids(found: Sequence[Finding], what: str) -> set[int]:
    return {id for finding in found if finding.what == what for id in finding.ids}


def _drop_rows(db: Connection, finding: Finding) -> list[str]:
    table = metadata.tables[finding.where]
    if table is library:
        db.execute(update(library).values(model_id=None))
        return ["which model was searched with: run `align index` with the --model it was"]
    if table is items:
        journal.delete_items(db, finding.ids)
    elif table is files:
        journal.delete_files(db, finding.ids)
    else:
        db.execute(delete(table).where(among(literal_column("rowid"), finding.ids)))
    return [f"{len(finding.ids)} rows of {table.name} that did not fit the others"]


def _read_again(db: Connection, ids: Collection[int]) -> None:
    """Let the next run read the files of these items, whatever their size and time."""
    holders = select(items.c.file_id).where(among(items.c.id, ids))
    db.execute(
        update(files).where(files.c.id.in_(holders)).values(size=journal.UNFINISHED, digest=None)
    )


def _drop_embeddings(db: Connection, ids: Collection[int]) -> None:
    """Searches lose these items until they are logged as added again."""
    _read_again(db, ids)
    db.execute(delete(embeddings).where(among(embeddings.c.item_id, ids)))
    _log(db, ids, "delete")


def _correct_log(db: Connection, ids: Collection[int]) -> None:
    """End the entries of each item with what is true of it."""
    live = set(db.execute(select(items.c.id).where(among(items.c.id, ids))).scalars())
    gone = set(ids) - live
    kinds = select(changes.c.item_id, changes.c.kind).where(among(changes.c.item_id, gone))
    rows = [
        {"item_id": id, "kind": kind, "op": "delete"} for id, kind in db.execute(kinds.distinct())
    ]
    if rows:
        db.execute(insert(changes), rows)
    # Entries of another kind would let searches of that kind find them.
    db.execute(delete(changes).where(among(changes.c.item_id, live)))
    _log(db, live, "add")


def _log(db: Connection, ids: Collection[int], op: str) -> None:
    rows = db.execute(select(items.c.id, items.c.kind).where(among(items.c.id, ids))).all()
    entries = [{"item_id": id, "kind": kind, "op": op} for id, kind in rows]
    if entries:
        db.execute(insert(changes), entries)
