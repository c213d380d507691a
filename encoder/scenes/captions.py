"""Captions of a scene: always true, in plain lower-case English, with a choice of words."""

from collections.abc import Callable, Sequence
from random import Random

from encoder.scenes.layout import Thing, relation
from encoder.scenes.words import (
    BACKGROUND_NOUNS,
    BACKGROUND_PHRASES,
    COLOUR_WORDS,
    FAMILIES,
    NEAR_PHRASES,
    NOUNS,
    NUMBERS,
    OPPOSITE,
    SIDE_PHRASES,
    SIZE_WORDS,
    Noun,
)

_OPENINGS = ("a picture of", "an image of", "a drawing of", "an illustration of", "a scene with")


def article(phrase: str) -> str:
    """``phrase`` with its indefinite article; the first letter is enough for our vocabulary."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def full_caption(rng: Random, background: str, things: Sequence[Thing]) -> str:
    """Names every thing with its count, size, colour, kind and relation, and the background."""
    names = [_named(rng, thing) for thing in things]
    first = names[0]
    if len(things) == 1:
        text = first
    elif len(things) == 2:
        text = rng.choice((_behind, _ahead, _aside))(rng, things, names)
    else:
        middle = rng.choice((_behind, _ahead))(rng, things[:2], names[:2])
        again = _again(things[0])
        text = f"{middle}, with {names[2]} {_side(rng, things[2], things[0])} {again}"
    where = rng.choice(BACKGROUND_PHRASES[background])
    placed = f"{text} {where}" if len(things) == 1 else f"{text}, {where}"
    opened = f"{rng.choice(_OPENINGS)} {placed}"
    return rng.choice((placed, placed, f"{where}, {text}", opened))


def brief_caption(rng: Random, things: Sequence[Thing]) -> str:
    """Names every thing with its count and kind, in any order."""
    names = [_counted(rng, thing, _described(_noun(rng, thing), thing)) for thing in things]
    rng.shuffle(names)
    *before, last = names
    return f"{', '.join(before)} and {last}" if before else last


def captions(rng: Random, background: str, things: Sequence[Thing]) -> tuple[str, ...]:
    """Five different captions: a full one, one without some details, one about a single thing, one
    of keywords, and one like the text that a person types into a search box."""
    makers: tuple[Callable[[Random, str, Sequence[Thing]], str], ...] = (
        full_caption,
        _partial,
        _single,
        _keywords,
        _query,
    )
    found: list[str] = []
    for make in makers:
        text = make(rng, background, things)
        while text in found:
            text = make(rng, background, things)
        found.append(text)
    return tuple(found)


def _behind(rng: Random, things: Sequence[Thing], names: Sequence[str]) -> str:
    return f"{names[0]} {_side(rng, things[0], things[1])} {names[1]}"


def _ahead(rng: Random, things: Sequence[Thing], names: Sequence[str]) -> str:
    return f"{names[1]} {_side(rng, things[1], things[0])} {names[0]}"


def _aside(rng: Random, things: Sequence[Thing], names: Sequence[str]) -> str:
    pronoun = "it" if things[0].count == 1 else "them"
    return f"{names[0]} and, {_side(rng, things[1], things[0])} {pronoun}, {names[1]}"


def _again(thing: Thing) -> str:
    noun = NOUNS[thing.kind][0]
    return f"the {noun.one if thing.count == 1 else noun.many}"


def _side(rng: Random, thing: Thing, other: Thing) -> str:
    side = relation(thing, other)
    assert side is not None, "every thing of a scene stands in a plain relation to the first"
    return rng.choice(SIDE_PHRASES[side])


def _noun(rng: Random, thing: Thing) -> Noun:
    usual, *others = NOUNS[thing.kind]
    return rng.choice(others) if others and rng.random() < 0.4 else usual


def _described(noun: Noun, thing: Thing, *adjectives: str) -> str:
    words = [word for word in adjectives if word]
    return " ".join([*words, noun.one if thing.count == 1 else noun.many])


def _colour(rng: Random, thing: Thing) -> str:
    return rng.choice(COLOUR_WORDS.get(thing.colour, (thing.colour,)))


def _size(rng: Random, thing: Thing) -> str:
    words = SIZE_WORDS[thing.size]
    return rng.choice(words) if words else ""


def _counted(rng: Random, thing: Thing, phrase: str) -> str:
    if thing.count == 1:
        return article(phrase)
    return f"{rng.choice(NUMBERS[thing.count])} {phrase}"


def _named(rng: Random, thing: Thing, sized: bool = True) -> str:
    size = _size(rng, thing) if sized else ""
    phrase = _described(_noun(rng, thing), thing, size, _colour(rng, thing))
    return _counted(rng, thing, phrase)


def _partial(rng: Random, background: str, things: Sequence[Thing]) -> str:
    """Two of the things, or the only one, mostly without sizes; often without the background."""
    shown = rng.sample(list(things), min(2, len(things)))
    names = [_named(rng, thing, sized=rng.random() < 0.3) for thing in shown]
    side = relation(shown[0], shown[-1])
    if len(shown) == 1:
        text = f"{rng.choice(_OPENINGS)} {names[0]}"
    elif side is None or rng.random() < 0.3:
        text = f"{names[0]} and {names[1]}"
    elif rng.random() < 0.3:
        text = f"{names[0]} {rng.choice(NEAR_PHRASES[side])} {names[1]}"
    else:
        turned = rng.random() < 0.5
        a, b = reversed(names) if turned else names
        text = f"{a} {rng.choice(SIDE_PHRASES[OPPOSITE[side] if turned else side])} {b}"
    return f"{text} {rng.choice(BACKGROUND_PHRASES[background])}" if rng.random() < 0.6 else text


def _single(rng: Random, background: str, things: Sequence[Thing]) -> str:
    """One thing and the background; its colour, size or exact kind may be missing."""
    thing = rng.choice(list(things))
    families = FAMILIES[thing.kind]
    noun = rng.choice(families) if families and rng.random() < 0.25 else _noun(rng, thing)
    colour = _colour(rng, thing) if rng.random() < 0.6 else ""
    size = _size(rng, thing) if rng.random() < 0.35 else ""
    text = _counted(rng, thing, _described(noun, thing, size, colour))
    return f"{text} {rng.choice(BACKGROUND_PHRASES[background])}"


def _keywords(rng: Random, background: str, things: Sequence[Thing]) -> str:
    """Things and background without articles, separated by commas; the things in any order."""
    parts = []
    for thing in things:
        size = _size(rng, thing) if rng.random() < 0.3 else ""
        phrase = _described(_noun(rng, thing), thing, size, _colour(rng, thing))
        parts.append(phrase if thing.count == 1 else f"{NUMBERS[thing.count][0]} {phrase}")
    rng.shuffle(parts)
    return ", ".join([*parts, rng.choice(BACKGROUND_NOUNS[background])])


def _query(rng: Random, background: str, things: Sequence[Thing]) -> str:
    """A few words about one thing, or about the background alone."""
    thing = rng.choice(list(things))
    where, colour = rng.choice(BACKGROUND_PHRASES[background]), _colour(rng, thing)
    noun = _noun(rng, thing)
    named = _described(noun, thing, colour)
    shape = rng.randrange(7)
    if shape == 0:
        return f"something {colour} {where}"
    if shape == 1:
        return f"{rng.choice(BACKGROUND_NOUNS[background])} with {_named(rng, thing, sized=False)}"
    if shape == 2:
        return named
    if shape == 3:
        return _described(noun, thing)
    if shape == 4:
        wide = rng.choice(FAMILIES[thing.kind] or (noun,))
        return _counted(rng, thing, _described(wide, thing, colour))
    if shape == 5:
        return rng.choice((f"something {colour}", rng.choice(BACKGROUND_NOUNS[background])))
    return f"{rng.choice(_OPENINGS)} {_counted(rng, thing, named)} {where}"
