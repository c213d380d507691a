"""Filters as conditions in SQL, every value of them bound."""

import math
import operator
import os
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    Text,
    and_,
    cast,
    exists,
    false,
    func,
    literal,
    or_,
    select,
)

from indexer import catalogue
from indexer.catalogue import Root, within
from indexer.filters import EARTH_RADIUS, FieldTest, FilterError, Filters, Near
from indexer.records import Kind
from indexer.schema import fields, files, items

_KNOWN = 20
_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def matching_ids(
    db: Connection, home: bytes, kind: Kind, filters: Filters
) -> npt.NDArray[np.int64]:
    """Ids of the live items of `kind` that `filters` let pass, (n,) ascending.

    Raises FilterError for a field that no item has.
    """
    for test in filters.fields:
        _check_known(db, test)
    query = select(items.c.id).where(items.c.kind == kind, *_of_items(filters))
    if filters.under is not None or filters.glob is not None:
        places = _of_files(filters, catalogue.all_roots(db, home))
        query = query.join(files, files.c.id == items.c.file_id).where(*places)
    ids = db.execute(query.order_by(items.c.id)).scalars().all()
    return np.fromiter(ids, np.int64, len(ids))


def _check_known(db: Connection, test: FieldTest) -> None:
    if db.execute(select(fields.c.name).where(fields.c.name == test.name).limit(1)).first():
        return
    known = db.execute(select(fields.c.name).distinct().order_by(fields.c.name)).scalars().all()
    more = ", ..." if len(known) > _KNOWN else ""
    problem = f"the library has {', '.join(known[:_KNOWN])}{more}"
    if not known:
        problem = "the library has none yet: add some with align annotate FILE"
    raise FilterError("field", str(test), f"names no known field; {problem}")


def _of_items(filters: Filters) -> Iterator[ColumnElement[bool]]:
    if filters.after is not None:
        yield items.c.taken_at >= filters.after
    if filters.before is not None:
        yield items.c.taken_at < filters.before
    if filters.camera is not None:
        yield func.instr(func.casefold(items.c.camera), filters.camera.casefold()) > 0
    if filters.near is not None:
        yield _near(filters.near)
    if filters.min_width is not None:
        yield items.c.width >= filters.min_width
    if filters.min_height is not None:
        yield items.c.height >= filters.min_height
    if filters.formats:
        yield items.c.format.in_(filters.formats)
    for test in filters.fields:
        of_item = and_(fields.c.item_id == items.c.id, fields.c.name == test.name)
        yield exists().where(of_item, _field(test))


def _of_files(filters: Filters, roots: Sequence[Root]) -> Iterator[ColumnElement[bool]]:
    if filters.under is not None:
        yield _under(filters.under, roots)
    if filters.glob is not None:
        path = cast(files.c.path, Text)  # GLOB takes no blobs
        yield or_(*(path.op("GLOB")(_text(p)) for p in (filters.glob, b"*/" + filters.glob)))


def _text(value: bytes) -> ColumnElement[str]:
    """Bytes that need not be UTF-8, as text."""
    return cast(literal(value, LargeBinary), Text)


def _under(path: bytes, roots: Sequence[Root]) -> ColumnElement[bool]:
    """Below `path` as it is written, and as it is without symbolic links."""
    ways: list[ColumnElement[bool]] = [false()]
    for way in {path, os.path.realpath(path)}:
        for root in roots:
            if within(root.path, way):
                ways.append(files.c.root_id == root.id)
            elif within(way, root.path):
                inside = os.path.relpath(way, root.path)
                # "0" comes right after "/"
                below = and_(files.c.path >= inside + b"/", files.c.path < inside + b"0")
                same = or_(files.c.path == inside, below)
                ways.append(and_(files.c.root_id == root.id, same))
    return or_(*ways)


def _near(near: Near) -> ColumnElement[bool]:
    """The exact distance, after a band of latitudes, a little too wide, that spares most items it:
    such a band needs no care at the poles and at the date line."""
    half = math.degrees(near.km / EARTH_RADIUS) + 1e-6
    band = items.c.latitude.between(near.latitude - half, near.latitude + half)
    distance = func.great_circle_km(
        items.c.latitude, items.c.longitude, near.latitude, near.longitude
    )
    return and_(band, distance <= near.km)


def _field(test: FieldTest) -> ColumnElement[bool]:
    n, text = test.number, test.value
    if test.operator in _COMPARE:
        ordered: ColumnElement[bool] = _COMPARE[test.operator](fields.c.number, literal(n))
        return ordered
    # A number may stand in a field as text: JSON has both.
    same: list[ColumnElement[bool]] = [fields.c.text.is_not_distinct_from(text)]
    if n is not None:
        same.append(fields.c.number.is_not_distinct_from(n))
    return or_(*same) if test.operator == "=" else ~or_(*same)
