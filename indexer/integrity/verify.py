"""Find all damage in a library: in the database, the generations and, on request, the files.

Everything here only reads, and works while another process writes.
"""

from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError

from indexer.database.catalogue import generation_names
from indexer.integrity import database_check
from indexer.integrity.file_check import Part, chosen_files, read_files
from indexer.integrity.findings import merged
from indexer.integrity.generation_check import damaged_generations, location
from indexer.integrity.sequences import sequences
from indexer.integrity.table_check import inconsistencies
from indexer.progress import NULL, Progress
from indexer.records import Finding


def verify(
    reader: Engine,
    directory: Path,
    part: Part | None = None,
    progress: Progress = NULL,
) -> list[Finding]:
    """All damage. The files in `part` are read and compared with their hashes.

    If rows are damaged, nothing else is checked: whether rows match each other shows only after
    `repair`.
    """
    try:
        with reader.begin() as db:
            # All further checks trust the rows.
            if found := [*database_check.damage(db, directory)]:
                return found
            found = [*sequences(db), *inconsistencies(db)]
            bad = {id for finding in found if finding.what == "embedding" for id in finding.ids}
            suspects = list(damaged_generations(db, directory, bad))
        with reader.begin() as db:  # a writer may have replaced a generation meanwhile
            kept = {location(name) for name in generation_names(db)}
            found += [f for f in suspects if f.what != "generation" or f.where in kept]
        if part:
            with reader.begin() as db:
                chosen = list(chosen_files(db, part))
            found += read_files(chosen, progress)
    except DatabaseError as error:
        return [database_check.unreadable(directory, str(error.orig))]
    return merged(found)
