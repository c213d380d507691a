"""Filters as conditions in SQL; every value is a bound parameter."""

import math
import operator
import os
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    Table,
    Text,
    and_,
    cast,
    false,
    func,
    literal,
    or_,
    select,
)

from indexer.database import catalogue, field_catalogue, spelling
from indexer.database.functions import EARTH_RADIUS
from indexer.database.rows import Root
from indexer.database.schema import Exact, annotations, fields, files, items
from indexer.records import Kind, Speaker
from indexer.search.filters import FieldTest, FilterError, Filters, Near
from indexer.values import bound, has_zone, is_exact, is_plain, nfc_path, truth

_Key = tuple[Kind, Filters, bytes | None]
_REMEMBERED = 8
"""How many answers a connection keeps. Each has one bit for each item id: all eight take 1 MB if a
million pictures were ever indexed. At most 5 connections stay open after their searches."""
_KNOWN = 20
"""How many known fields a message names."""
_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


def matching_ids(db: Connection, kind: Kind, filters: Filters) -> npt.NDArray[np.int64]:
    """Ids of the live items of `kind` that pass `filters`, (n,) ascending.

    The connection behind `db` keeps the last answers until it sees a commit of another connection,
    so it must not write itself. Raises FilterError for a field that no item has.
    """
    remembered: _Remembered = db.info.setdefault("matching ids", _Remembered())
    remembered.forget_unless(db.exec_driver_sql("PRAGMA data_version").scalar_one())
    # A symbolic link may change, which is no commit, and lead `under` to another folder.
    target = None
    if filters.under is not None:
        target = spelling.resolve(db, catalogue.all_roots(db), filters.under)
    key = (kind, filters, target)
    if (ids := remembered.get(key)) is None:
        ids = _read_ids(db, kind, filters, target)
        remembered.put(key, ids)
    return ids


def newest_ids(
    db: Connection, kind: Kind, filters: Filters, k: int | None = None
) -> npt.NDArray[np.int64]:
    """As `matching_ids`, but newest first by local time, those without a time last, and of equal
    times the smaller id first; the first `k` of them."""
    query = select(items.c.id).where(items.c.kind == kind)
    if filters != Filters():
        query = query.where(catalogue.among(items.c.id, matching_ids(db, kind, filters).tolist()))
    newest = query.order_by(items.c.taken_at.desc().nulls_last(), items.c.id).limit(k)
    return np.fromiter(db.execute(newest).scalars(), np.int64)


class _Remembered:
    """The last answers of one connection.

    SQLite changes a connection's `data_version` when another connection commits. The number means
    nothing to other connections, so each connection has its own answers.
    """

    def __init__(self) -> None:
        self._version: int | None = None
        self._bits: OrderedDict[_Key, npt.NDArray[np.uint8]] = OrderedDict()

    def forget_unless(self, version: int) -> None:
        """Forget all answers if `version` is not what it was last time."""
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
    db: Connection, kind: Kind, filters: Filters, target: bytes | None
) -> npt.NDArray[np.int64]:
    check_known(db, filters)
    # Without "likely", SQLite looks up each item in the index of kinds and digests, in no order.
    of_kind = func.likely(items.c.kind == kind)
    # All ids in one long text: rows would take longer to pass on than to find. For 100 million ids,
    # the text would be too long for SQLite.
    query = select(func.group_concat(items.c.id)).where(of_kind, *_of_items(filters))
    if target is not None or filters.glob is not None:
        conditions = _of_files(filters, target, catalogue.all_roots(db))
        query = query.join(files, files.c.id == items.c.file_id).where(*conditions)
    text = db.execute(query).scalar_one()
    return np.sort(np.fromstring(text or "", np.int64, sep=","))


def check_known(db: Connection, filters: Filters) -> None:
    """Raise FilterError for a field that no item has, and for a folder or file `under` that is
    neither on disk nor in the library."""
    for test in filters.fields:
        _check_known(db, test)
    if filters.under is not None and not os.path.lexists(filters.under):
        roots = catalogue.all_roots(db)
        path = spelling.resolve(db, roots, filters.under)
        inside = select(files.c.id).where(_under((filters.under, path), roots)).limit(1)
        if not os.path.lexists(path) and db.execute(inside).first() is None:
            problem = "is neither on disk nor in the library"
            raise FilterError("under", os.fsdecode(filters.under), problem)


def _check_known(db: Connection, test: FieldTest) -> None:
    if field_catalogue.is_field(db, test.name):
        return
    known = field_catalogue.field_names(db)
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
        yield _field(test)


def _of_files(
    filters: Filters, target: bytes | None, roots: Sequence[Root]
) -> Iterator[ColumnElement[bool]]:
    if filters.under is not None and target is not None:
        yield _under({filters.under, target}, roots)
    if filters.glob is not None:
        path = cast(func.nfc_path(files.c.path), Text)  # GLOB takes no blobs
        glob = nfc_path(filters.glob)
        yield or_(*(path.op("GLOB")(_text(p)) for p in (glob, b"*/" + glob)))


def _text(value: bytes) -> ColumnElement[str]:
    """Bytes as text in SQL, even if they are not UTF-8."""
    return cast(literal(value, LargeBinary), Text)


def _under(paths: Collection[bytes], roots: Sequence[Root]) -> ColumnElement[bool]:
    """Whether a file lies at or below any of `paths`."""
    conditions: list[ColumnElement[bool]] = [false()]
    for path in paths:
        for root in roots:
            if spelling.within(root.path, path):
                conditions.append(files.c.root_id == root.id)
            elif spelling.within(path, root.path):
                inside = catalogue.in_folder(os.path.relpath(path, root.path))
                conditions.append(and_(files.c.root_id == root.id, inside))
    return or_(*conditions)


def _near(near: Near) -> ColumnElement[bool]:
    """The exact distance is computed only in a band of latitudes that is a little too wide. Such a
    band has no special case at the poles or at the date line."""
    half = math.degrees(near.km / EARTH_RADIUS) + 1e-6
    band = items.c.latitude.between(near.latitude - half, near.latitude + half)
    distance = func.great_circle_km(
        items.c.latitude, items.c.longitude, near.latitude, near.longitude
    )
    return and_(band, distance <= near.km)


def _field(test: FieldTest) -> ColumnElement[bool]:
    """Whether an item passes, by the first that says anything: a person, a sidecar, the file, a
    tool."""

    def said(speaker: Speaker, *passing: ColumnElement[bool]) -> ColumnElement[bool]:
        # Not a test of every item: the annotations of one name may be few.
        ids = select(items.c.id).join(annotations, field_catalogue.of_item())
        named = ids.where(annotations.c.name == test.name, annotations.c.speaker == speaker)
        return items.c.id.in_(named.where(*passing))

    def in_sidecar(*passing: ColumnElement[bool]) -> ColumnElement[bool]:
        ids = select(fields.c.item_id).where(fields.c.name == test.name, *passing)
        return items.c.id.in_(ids)

    person, file, tag = (partial(said, speaker) for speaker in ("person", "file", "tag"))
    return or_(
        _passes(test, person, annotations),
        and_(~person(), _passes(test, in_sidecar, fields)),
        and_(~person(), ~in_sidecar(), _passes(test, file, annotations)),
        and_(~person(), ~in_sidecar(), ~file(), _passes(test, tag, annotations)),
    )


def _passes(
    test: FieldTest, said: Callable[..., ColumnElement[bool]], table: Table
) -> ColumnElement[bool]:
    """Whether any of the values said passes; for ``!=``, whether any is said, but none is this."""
    if test.operator == "!=":
        return and_(said(), ~said(_value(test, table)))
    return said(_value(test, table))


def _value(test: FieldTest, table: Table) -> ColumnElement[bool]:
    c = table.c
    if test.operator == "~":
        text = func.coalesce(c.text, cast(c.number, Text))
        return func.instr(func.casefold(func.nfc(text)), test.value.casefold()) > 0
    compare = _COMPARE.get(test.operator, operator.eq)
    same = [] if test.operator in _COMPARE else [_text_is(test.value, c.text)]
    if test.number is not None:
        same.append(_number(test, compare, table))
    if test.moment is not None:
        same.append(_moment(test.moment, compare, table))
    if test.operator not in _COMPARE and (said := truth(test.value)) is not None:
        same.append(and_(c.type == "truth", c.number.is_not_distinct_from(int(said))))
    return func.coalesce(or_(*same), false())


def _text_is(value: str, text: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a text is `value`, or differs only in the form of its accents."""
    return (text if value.isascii() else func.nfc(text)) == value


def _number(
    test: FieldTest, compare: Callable[..., ColumnElement[bool]], table: Table
) -> ColumnElement[bool]:
    """Compare a field that is, or spells, a number."""
    n, c = test.number, table.c
    assert n is not None
    ordered = test.operator in _COMPARE
    if is_exact(n):
        holds = compare(c.number, literal(n, Exact))
        plain = or_(c.text.is_(None), c.type != "text", func.is_plain(c.text))
        if ordered:
            return holds
        return and_(holds, plain) if is_plain(test.value) else false()
    # The database holds larger numbers than 64 bits as texts, and the nearest real beside them.
    if not ordered:
        return false()
    exactly = compare(func.compare_numbers(c.text, str(n)), 0)
    large = and_(func.typeof(c.number) == "real", c.text.is_not(None))
    return or_(and_(large, exactly), and_(~large, compare(c.number, literal(bound(n), Exact))))


def _moment(
    moment: str, compare: Callable[..., ColumnElement[bool]], table: Table
) -> ColumnElement[bool]:
    """Compare a field that is a date or a time, as exactly as `moment` is written; with a zone, as
    points in time."""
    text = func.replace(table.c.text, " ", "T")
    alike = text.like("__:%" if moment[2] == ":" else "____-%")
    if has_zone(moment):
        holds = compare(func.julianday(text), func.julianday(moment))
    else:
        holds = compare(func.substr(text, 1, len(moment)), moment)
    return and_(table.c.type == "date", alike, holds)
