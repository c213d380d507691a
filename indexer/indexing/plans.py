"""Plans: how the rows of a file must change, worked out before anything is written."""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from indexer.content import Content, Description
from indexer.database.rows import FileItem
from indexer.folders.scan import Found


@dataclass
class Entry:
    """One item to write."""

    position: int
    item_id: int | None
    """None for a new item."""
    content: Content | None
    """What must be embedded; None for an old item that only changes its position."""


@dataclass
class Plan:
    """The changes for one file."""

    found: Found
    digest: bytes | None
    racy: bool = False
    failure: str | None = None
    passing: bool = False
    """Whether the failure may pass without a change of the file."""
    same: bool = False
    """Whether the bytes are those of the last run, so that the items and the failure stay."""
    adopted: int | None = None
    """Id of the gone file whose items this file takes over."""
    entries: list[Entry] = field(default_factory=list)
    leftovers: list[int] = field(default_factory=list)
    """Ids of items whose content is no longer in the file."""
    kept: int = 0
    """How many items were in this file and stay as they are."""
    reembedded: int = 0
    """How many items were in this file and only get an embedding."""
    moved: int = 0
    """How many items of the adopted file stay."""
    description: Description = field(default_factory=Description)
    """What the sidecars of a picture say about it."""
    replaced: int = 0
    """How many leftovers have been replaced so far, each by a new item that is written."""


@dataclass(frozen=True)
class Piece:
    """The part of a plan that goes into one batch; a file of many texts needs several batches."""

    plan: Plan
    entries: Sequence[Entry]
    first: bool
    last: bool


def match(plan: Plan, contents: Sequence[Content], existing: Iterable[FileItem]) -> None:
    """Fill in `plan`: contents that are among the `existing` items keep their item. Equal contents
    are matched by position."""
    unmatched: dict[bytes, deque[FileItem]] = defaultdict(deque)
    for item in existing:
        unmatched[item.digest].append(item)
    for position, content in enumerate(contents):
        same = unmatched[content.digest]
        if not same:
            plan.entries.append(Entry(position, None, content))
            continue
        item = same.popleft()
        if item.file_id == plan.adopted:
            plan.moved += 1
        elif item.embedded:
            plan.kept += 1
        else:
            plan.reembedded += 1
        if not item.embedded:
            plan.entries.append(Entry(position, item.id, content))
        elif item.position != position:
            plan.entries.append(Entry(position, item.id, None))
    plan.leftovers = [item.id for items in unmatched.values() for item in items]


def batches(plans: Iterable[Plan], size: int) -> Iterator[list[Piece]]:
    """Batches of consecutive plans with at most `size` entries each. A plan without entries counts
    as one entry."""
    batch: list[Piece] = []
    room = size
    for plan in plans:
        start, end = 0, max(1, len(plan.entries))
        while start < end:
            stop = min(start + room, end)
            batch.append(Piece(plan, plan.entries[start:stop], start == 0, stop == end))
            room -= stop - start
            start = stop
            if room == 0:
                yield batch
                batch, room = [], size
    if batch:
        yield batch
