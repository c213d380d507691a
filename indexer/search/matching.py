"""Filters as conditions in SQL, every value of them bound."""

import math
import operator
import os
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence

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

from indexer.database import catalogue
from indexer.database.catalogue import within
from indexer.database.functions import EARTH_RADIUS
from indexer.database.rows import Root
from indexer.database.schema import fields, files, items
from indexer.records import Kind
from indexer.search.filters import FieldTest, FilterError, Filters, Near

_Key = tuple[Kind, Filters, bytes | None]
_REMEMBERED = 8
"""Filters whose answers a connection keeps, with a bit for every item id: 1 MB for all eight where
a million pictures were ever indexed. At most 5 connections stay open when their searches end."""
_KNOWN = 20
_TRUTH = {"true": 1.0, "false": 0.0}
_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def matching_ids(db: Connection, kind: Kind, filters: Filters) -> npt.NDArray[np.int64]:
    """Ids of the live items of `kind` that `filters` let pass, (n,) ascending.

    The last answers stay with the connection behind `db` until it sees that another one has
    committed: it must be one that only reads. Raises FilterError for a field that no item has.
    """
    remembered: _Remembered = db.info.setdefault("matching ids", _Remembered())
    remembered.forget_unless(db.exec_driver_sql("PRAGMA data_version").scalar_one())
    # The disk may lead `under` elsewhere without a commit.
    where = None if filters.under is None else os.path.realpath(filters.under)
    key = (kind, filters, where)
    if (ids := remembered.get(key)) is None:
        ids = _read_ids(db, kind, filters, where)
        remembered.put(key, ids)
    return ids


class _Remembered:
    """What one connection was last asked for.

    Its ``PRAGMA data_version`` is another number as soon as a transaction of its sees a commit of
    any process that changed something, and means nothing to other connections: so each has its own.
    """

    def __init__(self) -> None:
        self._version: int | None = None
        self._bits: OrderedDict[_Key, npt.NDArray[np.uint8]] = OrderedDict()

    def forget_unless(self, version: int) -> None:
        """Forget everything where `version` is not what it was last time."""
        if version != self._version:
            self._bits.clear()
            self._version = version

    def get(self, key: _Key) -> npt.NDArray[np.int64] | None:
        bits = self._bits.get(key)
        if bits is None:
            return None
        self._bits.move_to_end(key)
        return np.flatnonzero(np.unpackbits(bits))

    def put(self, key: _Key, ids: npt.NDArray[np.int64]) -> None:
        mask = np.zeros(int(ids.max(initial=0)) + 1, bool)
        mask[ids] = True
        self._bits[key] = np.packbits(mask)
        if len(self._bits) > _REMEMBERED:
            self._bits.popitem(last=False)


def _read_ids(
    db: Connection, kind: Kind, filters: Filters, where: bytes | None
) -> npt.NDArray[np.int64]:
    check_known(db, filters)
    # Likely, or SQLite looks every item up by the index of kinds and digests, in no order.
    of_kind = func.likely(items.c.kind == kind)
    # One long text of them, or the rows would take longer to pass on than to find. It would be too
    # long for SQLite with 100 million of them.
    query = select(func.group_concat(items.c.id)).where(of_kind, *_of_items(filters))
    if where is not None or filters.glob is not None:
        places = _of_files(filters, where, catalogue.all_roots(db))
        query = query.join(files, files.c.id == items.c.file_id).where(*places)
    text = db.execute(query).scalar_one()
    return np.sort(np.fromstring(text or "", np.int64, sep=","))


def check_known(db: Connection, filters: Filters) -> None:
    """Raise FilterError for a field that no item has."""
    for test in filters.fields:
        _check_known(db, test)


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


def _of_files(
    filters: Filters, where: bytes | None, roots: Sequence[Root]
) -> Iterator[ColumnElement[bool]]:
    if filters.under is not None and where is not None:
        yield _under({filters.under, where}, roots)
    if filters.glob is not None:
        path = cast(files.c.path, Text)  # GLOB takes no blobs
        yield or_(*(path.op("GLOB")(_text(p)) for p in (filters.glob, b"*/" + filters.glob)))


def _text(value: bytes) -> ColumnElement[str]:
    """Bytes that need not be UTF-8, as text."""
    return cast(literal(value, LargeBinary), Text)


def _under(paths: Collection[bytes], roots: Sequence[Root]) -> ColumnElement[bool]:
    """Below any of `paths`."""
    ways: list[ColumnElement[bool]] = [false()]
    for way in paths:
        for root in roots:
            if within(root.path, way):
                ways.append(files.c.root_id == root.id)
            elif within(way, root.path):
                inside = catalogue.in_folder(os.path.relpath(way, root.path))
                ways.append(and_(files.c.root_id == root.id, inside))
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
    if n is None:
        n = _TRUTH.get(text.lower())  # kept as a number
    if n is not None:
        same.append(fields.c.number.is_not_distinct_from(n))
    return or_(*same) if test.operator == "=" else ~or_(*same)
