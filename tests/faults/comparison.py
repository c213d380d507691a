"""A library and its shadow: what must be true of both after every step."""

import atexit
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant

from encoder.fake import FakeEncoder
from indexer import FilterError, Filters, IndexReport, Library
from indexer.records import KINDS
from tests.faults.shadow import (
    DIGESTS,
    PICTURES,
    Key,
    Place,
    Shadow,
    Value,
    keys_of,
    kind_of,
    within,
)

TESTS: dict[str, tuple[str, Callable[[Value], bool]]] = {
    "n>=2": ("n", lambda value: value in (2.0, 3.0)),
    "n=2": ("n", lambda value: value in (2.0, "2")),
    "m!=boat": ("m", lambda value: value != "boat"),
}
"""Filters by a field: its name, and whether a value passes."""


class Mirrored(FakeEncoder):
    """Another model, to which red is turquoise."""

    def __init__(self) -> None:
        super().__init__("mirrored", "d40rr1m")

    def _embed(self, colours):
        return super()._embed([255 - colour for colour in colours])


class Failing(FakeEncoder):
    """Fails at its n-th batch."""

    def __init__(self, model: FakeEncoder, batches: int) -> None:
        super().__init__(model.name, model.fingerprint)
        self.model, self.left = model, batches

    def _embed(self, colours):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.model._embed(colours)


@cache
def empty_library() -> Path:
    """Made once, because migrations would take most of the time that an example has."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    Library.create(folder).close()
    return folder / ".align"


class Comparison(RuleBasedStateMachine):
    """The state machine without its rules."""

    library: Library
    shadow: Shadow
    model: FakeEncoder
    """The model that searches use."""
    top: int
    """The highest id so far."""
    fresh: set[Key]
    """What the last `check` found new in the library."""

    def load(self) -> FakeEncoder:
        return self.model

    def another(self) -> FakeEncoder:
        return FakeEncoder() if isinstance(self.model, Mirrored) else Mirrored()

    @invariant()
    def agrees(self):
        for kind in KINDS:
            self.compare(kind, "red", 1000)
        items = self.library.items(id for id, _, _ in self.shadow.items())
        found = {item.id: (self.place_and_key(item), dict(item.fields)) for item in items}
        assert found == {
            id: ((place, key), self.shadow.fields(key, place))
            for id, key, place in self.shadow.items()
        }
        for item in items:
            if item.kind == "image":
                assert item.text == self.shadow.held[self.shadow.place(item.path)].caption
        assert {failure.path for failure in self.library.failures()} == {
            self.shadow.known_path(place) for place, file in self.shadow.held.items() if file.failed
        }
        assert self.library.roots() == self.shadow.statuses()

    def compare(self, kind, words, k, *, exclude=frozenset(), under=None, test=None):
        """Compare a search with the slow way: every item times the query, sorted."""
        query = self.model.encode_texts([words])[0]
        filters = Filters.parse(
            under=under and self.shadow.known_path(under), fields=[test] if test else []
        )
        search = partial(self.library.search, query, k, kind=kind, exclude=exclude, filters=filters)
        live = {id: (key, place) for id, key, place in self.shadow.items() if within(place, under)}
        nowhere = under is not None and not (
            os.path.lexists(self.shadow.known_path(under))
            or any(within(place, under) for place in self.shadow.held)
        )
        if self.library.model and nowhere:
            with pytest.raises(FilterError):
                search()
            return
        if test:
            name, passes = TESTS[test]
            known = any(name in self.shadow.fields(key, p) for _, key, p in self.shadow.items())
            if self.library.model and not known:
                with pytest.raises(FilterError):
                    search()
                return
            live = {
                id: (key, place)
                for id, (key, place) in live.items()
                if name in (fields := self.shadow.fields(key, place)) and passes(fields[name])
            }
        exact = {
            id: self.score(key, query)
            for id, (key, _) in live.items()
            if key[0] == kind and id not in exclude
        }
        best = sorted(exact, key=lambda id: (-exact[id], id))
        found = search()
        ids, scores = found.ids.tolist(), found.scores.tolist()
        assert scores == [exact[id] for id in ids]
        assert found.degraded is None
        if ids != best[:k]:  # only where some lists were not searched
            head = next(g for g in self.library.status().generations if g.kind == kind)
            assert head.nlist != head.nprobe
            assert ids == [id for id in best if id in set(ids)]
            assert len(ids) == min(k, len(best))

    def score(self, key: Key, query: np.ndarray) -> float:
        described = PICTURES[key[1]] if isinstance(key[1], bytes) else key[1]
        row = self.model.encode_texts([described]).astype("<f2").astype(np.float64)
        return float(np.einsum("nd,d->n", row, query.astype(np.float64)).astype(np.float32)[0])

    def place_and_key(self, item) -> tuple[Place, Key]:
        data = item.text if item.kind == "text" else DIGESTS[item.digest]
        return self.shadow.place(item.path), (item.kind, data)

    def items(self) -> dict[Place, tuple[tuple[Key, int], ...]]:
        """Every item in the library, as the library reports it."""
        query = self.model.encode_texts(["red"])[0]
        ids = [id for kind in KINDS for id in self.library.search(query, 1000, kind=kind).ids]
        assert sum(self.library.status().counts.values()) == len(ids)
        found: dict[Place, list[tuple[int, Key, int]]] = {}
        for item in self.library.items(ids):
            place, key = self.place_and_key(item)
            found.setdefault(place, []).append((item.position, key, item.id))
        return {
            place: tuple((key, id) for _, key, id in sorted(rows)) for place, rows in found.items()
        }

    def check(self, report, scope, *, allow_missing=False, interrupted=False) -> None:
        """Check a run over everything, or over `scope`. Then take its files into `held`, and the
        items that are new into `fresh`. With `interrupted`, an earlier run had already done a part.
        """
        look = self.shadow.look(scope, allow_missing=allow_missing)
        assert [
            said.startswith(f"{home} ")
            for said, home in zip(report.unavailable, look.unavailable, strict=True)
        ] == [True] * len(look.unavailable)
        before, top = self.shadow.held, self.top
        orphans: dict[tuple[str, bytes], list[Place]] = {}
        for place in look.gone:
            if not before[place].failed:
                orphans.setdefault((kind_of(place), before[place].data), []).append(place)

        found = self.items()
        concerned = {*look.files, *look.gone}
        after = {place: file for place, file in before.items() if place not in concerned}
        updated = 0
        for place in look.files:
            data, keys = self.shadow.disk[place], keys_of(place, self.shadow.disk[place])
            now = found.get(place, ())
            assert [key for key, _ in now] == (keys or []), place
            old = before[place].items if place in before else ()
            kept = set(old)
            if place not in before or before[place].data != data:
                if keys is not None and (waiting := orphans.get((kind_of(place), data))):
                    old += before[waiting.pop(0)].items
                self.check_ids(now, old, top)
            else:
                assert set(now) == set(old), place
            after[place] = self.shadow.read(place, now)
            if place in before and before[place].stamp != after[place].stamp:
                updated += len(kept & set(now))
        assert found == {place: file.items for place, file in after.items() if file.items}
        ids = [id for file in after.values() for _, id in file.items]
        assert len(set(ids)) == len(ids)

        items_before = [item for place in concerned & before.keys() for item in before[place].items]
        items_after = [item for place in look.files for item in after[place].items]
        stayed = report.unchanged + report.updated + report.moved + report.changed
        stayed += report.reembedded
        assert stayed + report.added + report.copied == len(items_after)
        if not interrupted:
            assert stayed + report.deleted == len(items_before)
            assert report.updated == updated or report.reembedded > 0
        known = {key for file in before.values() for key, _ in file.items}
        self.fresh = {key for key, id in items_after if id > top} - known

        assert self.library.verify() == []
        self.shadow.held, self.top = after, max([top, *ids])
        sources = [] if scope is None else [self.shadow.known_path(scope)]
        again = self.library.index(sources, self.must_not_load, allow_missing=allow_missing)
        failures = self.library.failures()
        assert replace(again, seconds=0, failed=0) == IndexReport(
            unchanged=len(items_after),
            failing=len(failures),
            passing=sum(failure.passing for failure in failures),
            unavailable=again.unavailable,
        )

    @staticmethod
    def check_ids(now, old, top: int) -> None:
        """Check that as many items as possible keep their ids, and that all other ids are new."""
        were = Counter(key for key, _ in old)
        for key, count in Counter(key for key, _ in now).items():
            kept = {id for of, id in now if of == key and id <= top}
            assert kept <= {id for of, id in old if of == key}
            assert len(kept) == min(count, were[key])

    @staticmethod
    def must_not_load():
        raise AssertionError("the encoder was loaded although nothing had to be embedded")
