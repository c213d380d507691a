"""The numbers that SQLite gives to new rows: no table may give a number twice."""

from collections.abc import Iterator

from sqlalchemy import Connection, func, select

from indexer.database.checksums import Value, raw_rows
from indexer.database.schema import changes, generations, items
from indexer.records import Finding


def given_numbers(db: Connection) -> dict[Value, Value]:
    """The last number that each table gave, as SQLite recorded it, perhaps damaged."""
    rows = raw_rows(db, "SELECT name, seq FROM sqlite_sequence")
    return {row[0]: row[1] for row in rows}


def last_numbers(db: Connection) -> dict[str, int]:
    """The largest number in use, for each table that never gives a number twice."""
    used = {
        items.name: [items.c.id, changes.c.item_id],  # also of deleted items
        changes.name: [changes.c.seq],
        generations.name: [generations.c.id],
    }
    return {
        name: max(
            db.execute(select(func.coalesce(func.max(column), 0))).scalar_one()
            for column in columns
        )
        for name, columns in used.items()
    }


def sequences(db: Connection) -> Iterator[Finding]:
    """Records that would let a table give a number twice."""
    stored = given_numbers(db)
    used = last_numbers(db)
    for name, last in used.items():
        given = stored.get(name, 0)
        if not isinstance(given, int) or given < last:
            problem = f"the number {last} is in use but not recorded"
            yield Finding("sequence", name, problem, True)
    for stray in stored.keys() - used.keys():
        yield Finding("sequence", str(stray), "is not a table with such numbers", True)


def remember_numbers(db: Connection) -> None:
    """Record for each table the largest number in use, or the recorded one if it is larger."""
    stored = given_numbers(db)
    db.exec_driver_sql("DELETE FROM sqlite_sequence")
    for name, last in last_numbers(db).items():
        given = stored.get(name)
        number = max(last, given) if isinstance(given, int) else last
        db.exec_driver_sql("INSERT INTO sqlite_sequence VALUES (?, ?)", (name, number))
