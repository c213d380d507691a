"""How findings are worded and grouped."""

from collections.abc import Iterable, Sequence

from indexer.records import Finding


def listed(ids: Sequence[int]) -> str:
    """The first five of `ids`, and how many more there are."""
    more = f" and {len(ids) - 5:,} more" if len(ids) > 5 else ""
    return ", ".join(map(str, ids[:5])) + more


def embedding_finding(id: int, problem: str) -> Finding:
    """A damaged embedding of the item `id`, which the next run can replace."""
    return Finding("embedding", f"item {id}", problem, True, (id,))


def merged(found: Iterable[Finding]) -> list[Finding]:
    """One finding for all items, or for all rows of a table, that have the same problem."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for f in found:
        key = (f.what, f.problem, f.where if f.what not in _MANY else None)
        groups.setdefault(key, []).append(f)
    return [_together(group) if len(group) > 1 else group[0] for group in groups.values()]


_MANY: tuple[str, ...] = ("record", "embedding", "change")
"""Kinds of damage whose findings name items."""


def _together(group: Sequence[Finding]) -> Finding:
    first = group[0]
    ids = tuple(sorted({id for finding in group for id in finding.ids}))
    several = first.what in _MANY and len(ids) > 1
    where = f"items {listed(ids)}" if several else first.where
    return Finding(first.what, where, first.problem, first.repairable, ids)
