"""Drawn scenes with captions. Everything in them is known, and each seed gives another scene."""

from encoder.scenes.backgrounds import BACKGROUNDS
from encoder.scenes.captions import article
from encoder.scenes.colours import COLOURS
from encoder.scenes.layout import Box, Item, Pairs, Side, Size, Thing, relation
from encoder.scenes.scene import Scene, make_scene
from encoder.scenes.things import HELD_OUT, KINDS

__all__ = [
    "BACKGROUNDS",
    "COLOURS",
    "HELD_OUT",
    "KINDS",
    "Box",
    "Item",
    "Pairs",
    "Scene",
    "Side",
    "Size",
    "Thing",
    "article",
    "make_scene",
    "relation",
]
