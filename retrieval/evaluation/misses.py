"""The captions whose pictures came latest, and the pictures that came first instead."""

from collections.abc import Sequence

import numpy as np

from retrieval.evaluation.report import Miss
from retrieval.evaluation.scoring import Embedded, Numbers

MOST = 24
FIRST = 5
"""How many of the pictures that came first a miss shows."""


def worst_misses(
    blocks: Sequence[Embedded],
    text_ranks: Sequence[Numbers],
    captions: Sequence[str],
    examples: Sequence[int],
) -> tuple[Miss, ...]:
    """At most `MOST` captions whose picture did not come first, worst first.

    A picture and its copies have at most one miss, and so has each wording. `captions` are the
    texts of all blocks; `examples` are the numbers of all blocks' pictures in their dataset.
    """
    places = [
        (block, text)
        for block, found in enumerate(text_ranks)
        for text in np.flatnonzero(found > 1).tolist()
    ]
    places.sort(key=lambda place: -text_ranks[place[0]][place[1]])
    text_starts = np.cumsum([0, *(len(block.texts) for block in blocks)])
    image_starts = np.cumsum([0, *(len(block.images) for block in blocks)])
    misses, seen = [], set[int | str]()
    for number, text in places:
        block = blocks[number]
        owner, caption = int(block.owner[text]), captions[text_starts[number] + text]
        if owner in seen or caption in seen:
            continue
        seen |= {owner, caption}
        scores = block.images @ block.texts[text]
        first = image_starts[number] + np.argsort(-scores, kind="stable")[:FIRST]
        misses.append(
            Miss(
                caption,
                examples[image_starts[number] + block.picture[text]],
                int(text_ranks[number][text]),
                tuple(examples[i] for i in first),
            )
        )
        if len(misses) == MOST:
            break
    return tuple(misses)
