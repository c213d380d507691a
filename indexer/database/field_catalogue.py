"""What the database knows of fields: what people, sidecars, pictures' own files and tools say of
items. Every function reads; `indexer.database.journal` writes."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, get_args

from sqlalchemy import ColumnElement, Connection, Table, and_, func, literal, select

from indexer.database import connection
from indexer.database.schema import annotations, fields, files, items, statements
from indexer.records import FieldSummary, Said, Speaker
from indexer.values import FieldValue, FieldValues
from indexer.values import value as value_of


def fields_where(
    db: Connection, condition: ColumnElement[bool]
) -> dict[int, dict[str, FieldValues]]:
    """The fields of each item that has any, by item id and by name."""
    sidecars = select(fields.c.item_id, *_value_of(fields)).join(
        items, items.c.id == fields.c.item_id
    )
    said = select(items.c.id, *_value_of(annotations)).join(items, of_item())
    by_speaker = {
        speaker: said.where(annotations.c.speaker == speaker) for speaker in get_args(Speaker)
    }
    found: dict[int, dict[str, FieldValues]] = {}
    # The last word counts.
    for query in (by_speaker["tag"], by_speaker["file"], sidecars, by_speaker["person"]):
        of_files = query.join(files, files.c.id == items.c.file_id).where(condition)
        values_of: dict[int, dict[str, list[tuple[int, FieldValue]]]] = {}
        for item_id, name, n, *columns in db.execute(of_files):
            with connection.trusting(db):
                value = value_of(*columns)
            values_of.setdefault(item_id, {}).setdefault(name, []).append((n, value))
        for item_id, named in values_of.items():
            for name, numbered in named.items():
                found.setdefault(item_id, {})[name] = _several(numbered)
    return {item_id: dict(sorted(named.items())) for item_id, named in found.items()}


def _value_of(table: Table) -> list[ColumnElement[Any]]:
    return [table.c.name, table.c.n, table.c.type, table.c.number, table.c.text]


def of_item() -> ColumnElement[bool]:
    """Whether a row of `annotations` speaks of the bytes of a row of `items`; SQL."""
    same: ColumnElement[bool] = annotations.c.digest == items.c.digest
    return and_(annotations.c.kind == items.c.kind, same)


def is_field(db: Connection, name: str) -> bool:
    """Whether any item has a field of this name."""
    said = select(items.c.id).join(annotations, of_item()).where(annotations.c.name == name)
    in_sidecars = select(fields.c.item_id).where(fields.c.name == name)
    return any(db.execute(query.limit(1)).first() for query in (said, in_sidecars))


def field_names(db: Connection) -> list[str]:
    """The names of all fields that any item has, sorted."""
    said = select(annotations.c.name).join(items, of_item())
    return sorted(db.execute(select(fields.c.name).union(said)).scalars())


def field_summaries(db: Connection) -> list[FieldSummary]:
    """Every field that any live item has, by name."""
    said = select(
        annotations.c.name, annotations.c.type, items.c.id.label("item_id"), annotations.c.speaker
    ).join(items, of_item())
    in_sidecars = select(
        fields.c.name, fields.c.type, fields.c.item_id, literal("sidecar").label("speaker")
    )
    rows = said.union_all(in_sidecars).subquery()
    query = (
        select(
            rows.c.name,
            func.group_concat(rows.c.type.distinct()),
            func.count(rows.c.item_id.distinct()),
            func.group_concat(rows.c.speaker.distinct()),
        )
        .group_by(rows.c.name)
        .order_by(rows.c.name)
    )
    return [
        FieldSummary(name, tuple(sorted(types.split(","))), n, tuple(sorted(who.split(","))))
        for name, types, n, who in db.execute(query)
    ]


def said(db: Connection, item_id: int) -> list[Said]:
    """All that is said of an item, by name; who counts most comes first."""
    in_sidecars = select(*_value_of(fields), literal(None), literal(None), literal(None)).where(
        fields.c.item_id == item_id
    )
    by_others = (
        select(*_value_of(annotations), annotations.c.speaker, statements.c.at, statements.c.about)
        .join(items, of_item())
        .outerjoin(statements, statements.c.id == annotations.c.statement_id)
        .where(items.c.id == item_id)
    )
    found: dict[tuple[str, Speaker | None], list[tuple[int, FieldValue]]] = {}
    told: dict[tuple[str, Speaker | None], tuple[str | None, str | None]] = {}
    with connection.trusting(db):
        for query in (in_sidecars, by_others):
            for name, n, *columns, speaker, at, about in db.execute(query):
                found.setdefault((name, speaker), []).append((n, value_of(*columns)))
                told[name, speaker] = at, about
        ranks = {"person": 0, None: 1, "file": 2, "tag": 3}
        ordered = sorted(found, key=lambda key: (key[0], ranks[key[1]]))
        first = dict(reversed(ordered))
        return [
            Said(
                name=name,
                value=_several(found[name, speaker]),
                speaker=speaker,
                at=datetime.fromisoformat(at) if (at := told[name, speaker][0]) else None,
                about=json.loads(told[name, speaker][1] or "{}"),
                counts=first[name] == speaker,
            )
            for name, speaker in ordered
        ]


def _several(numbered: list[tuple[int, FieldValue]]) -> FieldValues:
    values = tuple(value for _, value in sorted(numbered, key=lambda each: each[0]))
    return values[0] if len(values) == 1 else values


def overruled(db: Connection, names: Iterable[str]) -> dict[str, int]:
    """For each name, of how many items another than a tool says something under it; names without
    any are left out."""
    said = select(items.c.id, annotations.c.name).join(items, of_item())
    by_others = said.where(annotations.c.speaker != "tag", annotations.c.name.in_(names))
    in_sidecars = select(fields.c.item_id, fields.c.name).where(fields.c.name.in_(names))
    both = by_others.union(in_sidecars).subquery()
    query = select(both.c.name, func.count()).group_by(both.c.name)
    return {row[0]: row[1] for row in db.execute(query)}
