"""A scene: one to three things in front of a background, all decided by a seed."""

from dataclasses import dataclass
from random import Random

from PIL import Image

from encoder.scenes import captions, draw
from encoder.scenes.backgrounds import BACKGROUNDS
from encoder.scenes.layout import Pairs, Thing, sample_things


@dataclass(frozen=True)
class Scene:
    """What a picture shows; the picture and its captions follow from it alone.

    Every other thing has a plain `relation` to the first.
    """

    seed: int
    background: str
    things: tuple[Thing, ...]

    def captions(self) -> tuple[str, ...]:
        """Five different true captions, lower case, without a final stop; the first is full."""
        return captions.captions(Random(f"captions {self.seed}"), self.background, self.things)

    def full_caption(self) -> str:
        """One caption that names every thing with its count, colour, kind and size (unless medium),
        the relations to the first thing, and the background; at most 45 words."""
        return captions.full_caption(Random(f"full {self.seed}"), self.background, self.things)

    def brief_caption(self) -> str:
        """One caption that names every thing's count and kind and nothing else."""
        return captions.brief_caption(Random(f"brief {self.seed}"), self.things)

    def draw(self, size: int = 384) -> Image.Image:
        """The picture: ``size`` x ``size`` RGB. Only its fine grain depends on the size.

        Raises ValueError if ``size`` is less than 16.
        """
        if size < 16:
            raise ValueError(f"a scene needs 16 pixels or more, not {size}")
        return draw.draw(self.seed, self.background, self.things, size)


def make_scene(seed: int, pairs: Pairs = "any") -> Scene:
    """The scene of ``seed`` (0 or more), the same on every machine.

    ``pairs`` says which (colour, kind) pairs may occur. "seen": none of `HELD_OUT`. "held-out": one
    of `HELD_OUT` for the first thing, any others. "any": all.

    Raises ValueError if ``seed`` is negative.
    """
    if seed < 0:
        raise ValueError(f"a scene's seed is 0 or more, not {seed}")
    rng = Random(f"layout {pairs} {seed}")
    background = rng.choice(BACKGROUNDS)
    return Scene(seed, background, sample_things(rng, pairs))
