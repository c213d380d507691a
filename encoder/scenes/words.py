"""The vocabulary of the captions: what people call the kinds, colours, sizes and backgrounds."""

from typing import NamedTuple

from encoder.scenes.layout import Side, Size


class Noun(NamedTuple):
    one: str
    many: str


def _regular(*words: str) -> tuple[Noun, ...]:
    return tuple(Noun(word, word + "s") for word in words)


NOUNS: dict[str, tuple[Noun, ...]] = {
    "aeroplane": _regular("aeroplane", "airplane", "plane"),
    "apple": _regular("apple"),
    "balloon": _regular("balloon", "hot air balloon"),
    "bicycle": _regular("bicycle", "bike"),
    "bird": _regular("bird"),
    "boat": _regular("boat", "ship", "sailboat"),
    "book": _regular("book"),
    "bus": (Noun("bus", "buses"),),
    "butterfly": (Noun("butterfly", "butterflies"),),
    "cactus": (Noun("cactus", "cacti"), Noun("cactus", "cactuses")),
    "car": _regular("car", "automobile"),
    "castle": _regular("castle"),
    "cat": _regular("cat"),
    "chair": _regular("chair"),
    "clock": _regular("clock", "alarm clock"),
    "cup": (*_regular("cup", "mug"), Noun("cup of coffee", "cups of coffee")),
    "dog": _regular("dog"),
    "duck": _regular("duck"),
    "elephant": _regular("elephant"),
    "fish": (Noun("fish", "fish"),),
    "flower": _regular("flower"),
    "guitar": _regular("guitar"),
    "hat": _regular("hat", "top hat"),
    "house": _regular("house", "cottage"),
    "key": _regular("key"),
    "kite": _regular("kite"),
    "lamp": _regular("lamp", "table lamp"),
    "mushroom": _regular("mushroom", "toadstool"),
    "rabbit": (Noun("rabbit", "rabbits"), Noun("bunny", "bunnies")),
    "rocket": _regular("rocket", "spaceship"),
    "tent": _regular("tent"),
    "train": _regular("train", "locomotive"),
    "tree": _regular("tree"),
    "umbrella": _regular("umbrella"),
}
"""The words for each kind; the first is the usual one."""

_MEMBERS: dict[Noun, str] = {
    Noun("animal", "animals"): "bird butterfly cat dog duck elephant fish rabbit",
    Noun("vehicle", "vehicles"): "aeroplane bicycle boat bus car rocket train",
    Noun("plant", "plants"): "cactus flower tree",
    Noun("building", "buildings"): "castle house",
    Noun("fruit", "fruits"): "apple",
    Noun("piece of furniture", "pieces of furniture"): "chair",
    Noun("musical instrument", "musical instruments"): "guitar",
    Noun("insect", "insects"): "butterfly",
    Noun("pet", "pets"): "cat dog rabbit",
}

FAMILIES: dict[str, tuple[Noun, ...]] = {
    kind: tuple(family for family, members in _MEMBERS.items() if kind in members.split())
    for kind in NOUNS
}
"""The wider words that are true of each kind; empty if there is no useful one."""

COLOUR_WORDS: dict[str, tuple[str, ...]] = {"grey": ("grey", "gray")}
"""The spellings of a colour that has more than one."""

SIZE_WORDS: dict[Size, tuple[str, ...]] = {
    "small": ("small", "little", "tiny"),
    "medium": (),
    "large": ("large", "big", "huge"),
}

NUMBERS: dict[int, tuple[str, ...]] = {
    1: ("a",),
    2: ("two", "two", "a pair of"),
    3: ("three",),
}

SIDE_PHRASES: dict[Side, tuple[str, ...]] = {
    "left": ("to the left of", "left of", "on the left of"),
    "right": ("to the right of", "right of", "on the right of"),
    "above": ("above", "over"),
    "below": ("below", "under", "beneath"),
}

NEAR_PHRASES: dict[Side, tuple[str, ...]] = {
    "left": ("beside", "next to"),
    "right": ("beside", "next to"),
    "above": ("above", "near"),
    "below": ("below", "near"),
}
"""Looser words for the same relations."""

OPPOSITE: dict[Side, Side] = {"left": "right", "right": "left", "above": "below", "below": "above"}

BACKGROUND_PHRASES: dict[str, tuple[str, ...]] = {
    "sea": ("by the sea", "at the sea", "at the seaside", "by the ocean", "at the beach"),
    "field": ("in a field", "in a green field", "in a meadow", "in a grassy field"),
    "snow": ("in the snow", "in winter", "in a snowy landscape", "on a snowy day"),
    "desert": ("in the desert", "in a sandy desert", "among sand dunes"),
    "forest": ("in a forest", "in the forest", "in the woods", "in a wood"),
    "city": ("in the city", "in a city", "in a city street", "in town"),
    "night": ("at night", "by night", "under the night sky", "in the dark", "in the moonlight"),
    "sunset": ("at sunset", "at sundown", "in the sunset", "in the evening sun"),
}

BACKGROUND_NOUNS: dict[str, tuple[str, ...]] = {
    "sea": ("sea", "seaside", "ocean", "beach"),
    "field": ("field", "meadow", "green field"),
    "snow": ("snow", "winter landscape", "snowy landscape"),
    "desert": ("desert", "sand dunes"),
    "forest": ("forest", "woods"),
    "city": ("city", "city street", "town"),
    "night": ("night", "night sky", "dark night"),
    "sunset": ("sunset", "sundown"),
}
