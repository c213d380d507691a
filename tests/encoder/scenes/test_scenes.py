"""The drawn scenes: the seed decides them, their captions are true, and the drawing agrees."""

import colorsys
import hashlib
import itertools
import re
from collections import Counter
from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from encoder.scenes import (
    BACKGROUNDS,
    COLOURS,
    HELD_OUT,
    KINDS,
    Box,
    Item,
    Scene,
    Thing,
    article,
    make_scene,
    relation,
)
from encoder.scenes.colours import BASES, tones
from encoder.scenes.things import extent
from encoder.scenes.words import (
    BACKGROUND_NOUNS,
    BACKGROUND_PHRASES,
    COLOUR_WORDS,
    FAMILIES,
    NEAR_PHRASES,
    NOUNS,
    OPPOSITE,
    SIDE_PHRASES,
    SIZE_WORDS,
)

NEUTRAL = {"black", "white", "grey"}


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [make_scene(seed) for seed in range(1000)]


def alone(kind: str, colour: str, background: str, seed: int = 5) -> Scene:
    """One large, upright thing in the middle."""
    left, top, right, bottom = extent(kind)
    scale = 0.6 / max(right - left, bottom - top)
    w, h = (right - left) * scale / 2, (bottom - top) * scale / 2
    box = Box(0.5 - w, 0.5 - h, 0.5 + w, 0.5 + h)
    item = Item(0.5, 0.5, scale, 1.0, 0.0, False)
    return Scene(seed, background, (Thing(kind, colour, 1, "large", box, (item,)),))


def drawn(scene: Scene, size: int = 96) -> npt.NDArray[np.float64]:
    return np.asarray(scene.draw(size)).astype(np.float64)


def test_there_are_enough_kinds_colours_and_backgrounds() -> None:
    assert len(KINDS) == len(set(KINDS)) >= 26
    assert len(COLOURS) == 11
    assert len(BACKGROUNDS) == 8
    assert set(NOUNS) == set(KINDS)
    assert set(BACKGROUND_PHRASES) == set(BACKGROUND_NOUNS) == set(BACKGROUNDS)


def test_a_seed_decides_layout_captions_and_pixels() -> None:
    for seed in (0, 7, 123456789):
        first, second = make_scene(seed), make_scene(seed)
        assert first == second
        assert first.captions() == second.captions()
        assert first.full_caption() == second.full_caption()
        assert first.draw(64).tobytes() == second.draw(64).tobytes()
    assert make_scene(1) != make_scene(2)


def test_layout_and_captions_do_not_change() -> None:
    told = [
        (scene, scene.captions(), scene.full_caption())
        for scene in (make_scene(seed, pairs) for seed in range(20) for pairs in ("any", "seen"))
    ]
    digest = hashlib.sha256(repr(told).encode()).hexdigest()
    assert digest == "98e08ec2505054d4a29a28150d0856e55b35094988d6ca49d1620bd8c229f4aa"


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="seed"):
        make_scene(-1)
    with pytest.raises(ValueError, match="16 pixels"):
        make_scene(0).draw(8)


def test_scenes_show_one_to_three_different_kinds(scenes: list[Scene]) -> None:
    numbers = Counter(len(scene.things) for scene in scenes)
    assert 200 <= numbers[1] <= 300
    assert 390 <= numbers[2] <= 510
    assert 240 <= numbers[3] <= 360
    for scene in scenes:
        assert len({thing.kind for thing in scene.things}) == len(scene.things)
        for thing in scene.things:
            assert thing.kind in KINDS
            assert thing.colour in COLOURS
            assert thing.count == len(thing.items) in (1, 2, 3)
    things = [thing for scene in scenes for thing in scene.things]
    assert {thing.kind for thing in things} == set(KINDS)
    assert {thing.colour for thing in things} == set(COLOURS)
    assert {scene.background for scene in scenes} == set(BACKGROUNDS)
    counts = Counter(thing.count for thing in things)
    assert counts[1] > counts[2] > counts[3] > len(things) * 0.05
    sizes = Counter(thing.size for thing in things)
    assert min(sizes.values()) > len(things) * 0.15


def test_sizes_are_clearly_different(scenes: list[Scene]) -> None:
    reaches: dict[str, dict[str, list[float]]] = {}
    for thing in (thing for scene in scenes for thing in scene.things):
        scales = [item.scale for item in thing.items]
        reaches.setdefault(thing.kind, {}).setdefault(thing.size, []).extend(scales)
    for by_size in reaches.values():
        assert max(by_size["small"]) < min(by_size["medium"])
        assert max(by_size["medium"]) < min(by_size["large"])


def test_relations_hold_between_the_boxes(scenes: list[Scene]) -> None:
    sides = Counter[str]()
    for scene in scenes:
        for i, thing in enumerate(scene.things):
            box = thing.box
            assert 0 <= box.left < box.right <= 1
            assert 0 <= box.top < box.bottom <= 1
            for other in scene.things[:i]:
                side = relation(thing, other)
                assert side is not None or other is not scene.things[0]
                if side is None:
                    continue
                assert relation(other, thing) == OPPOSITE[side]
                near, far = other.box, thing.box
                gap = {
                    "left": near.left - far.right,
                    "right": far.left - near.right,
                    "above": near.top - far.bottom,
                    "below": far.top - near.bottom,
                }[side]
                assert gap >= 0.0299
                sides[side] += 1
    assert min(sides.values()) > sum(sides.values()) * 0.15


def test_held_out_pairs_are_spread_evenly() -> None:
    assert 0.05 < len(HELD_OUT) / (len(KINDS) * len(COLOURS)) < 0.07
    assert set(Counter(colour for colour, _ in HELD_OUT).values()) == {2}
    assert set(Counter(kind for _, kind in HELD_OUT).values()) == {1}
    assert all(colour in COLOURS and kind in KINDS for colour, kind in HELD_OUT)


def test_held_out_pairs_are_never_in_seen_and_always_in_held_out() -> None:
    for seed in range(400):
        seen = {(thing.colour, thing.kind) for thing in make_scene(seed, "seen").things}
        assert not seen & HELD_OUT
        first = make_scene(seed, "held-out").things[0]
        assert (first.colour, first.kind) in HELD_OUT


def test_captions_differ_and_are_plain_text(scenes: list[Scene]) -> None:
    for scene in scenes:
        told = scene.captions()
        assert len(told) == len(set(told)) == 5
        for text in (*told, scene.full_caption()):
            assert text == text.lower().strip()
            assert not text.endswith(".")
            assert "  " not in text
            assert 1 <= len(text.split()) <= 45


def test_full_captions_are_nearly_unique(scenes: list[Scene]) -> None:
    assert len({scene.full_caption() for scene in scenes}) >= 970


def test_full_captions_name_everything(scenes: list[Scene]) -> None:
    for scene in scenes:
        for text in (scene.full_caption(), scene.captions()[0]):
            assert any(phrase in text for phrase in BACKGROUND_PHRASES[scene.background])
            for thing in scene.things:
                groups = [
                    " ".join(
                        filter(None, (size, colour, noun.one if thing.count == 1 else noun.many))
                    )
                    for size in SIZE_WORDS[thing.size] or ("",)
                    for colour in COLOUR_WORDS.get(thing.colour, (thing.colour,))
                    for noun in NOUNS[thing.kind]
                ]
                leads = {1: ("a ", "an "), 2: ("two ", "a pair of "), 3: ("three ",)}[thing.count]
                assert any(lead + group in text for lead in leads for group in groups), text
            if len(scene.things) > 1:
                phrases = [phrase for side in SIDE_PHRASES.values() for phrase in side]
                assert any(phrase in text for phrase in phrases)


def test_articles_and_plurals(scenes: list[Scene]) -> None:
    plurals = {noun.many for nouns in (*NOUNS.values(), *FAMILIES.values()) for noun in nouns}
    singles = {noun.one for nouns in (*NOUNS.values(), *FAMILIES.values()) for noun in nouns}
    ends = (",", " and", " with", *(f" {w}" for ways in SIDE_PHRASES.values() for w in ways))
    ends += tuple(f" {w}" for ways in NEAR_PHRASES.values() for w in ways)
    ends += tuple(f" {phrase}" for ways in BACKGROUND_PHRASES.values() for phrase in ways)
    ends = tuple(sorted(ends, key=len, reverse=True))
    for scene in scenes:
        for text in (*scene.captions(), scene.full_caption()):
            words = text.split()
            for word, after in itertools.pairwise(words):
                assert word != "a" or after[0] not in "aeiou", text
                assert word != "an" or after[0] in "aeiou", text
            for lead, nouns in (("two ", plurals), ("three ", plurals), ("an ", singles)):
                for part in re.split(rf"\b{lead}", text)[1:]:
                    head = part
                    for end in ends:
                        head = head.split(end)[0]
                    openings = ("image of", "illustration of")
                    assert head.endswith(tuple(nouns)) or part.startswith(openings), text
    assert article("orange umbrella") == "an orange umbrella"
    assert article("red cat") == "a red cat"
    assert NOUNS["fish"][0].many == "fish"
    assert NOUNS["butterfly"][0].many == "butterflies"
    assert NOUNS["bus"][0].many == "buses"


def nearest(colour: npt.NDArray[np.float64]) -> str:
    return min(BASES, key=lambda name: float(np.abs(colour - BASES[name]).sum()))


@pytest.mark.parametrize("colour", COLOURS)
def test_things_have_their_colour(colour: str) -> None:
    for kind in ("cat", "car", "apple", "fish", "castle", "hat", "rocket"):
        scene = alone(kind, colour, "city" if colour == "green" else "field")
        with_thing, without = drawn(scene), drawn(Scene(scene.seed, scene.background, ()))
        inside = np.abs(with_thing - without).sum(axis=-1) > 40
        pixels = with_thing[inside]
        middle = np.median(pixels, axis=0)
        hue, saturation, value = colorsys.rgb_to_hsv(*(middle / 255))
        if colour in NEUTRAL:
            assert saturation < 0.25, kind
            low, high = {"black": (0, 0.35), "grey": (0.4, 0.7), "white": (0.75, 1)}[colour]
            assert low <= value <= high, kind
        else:
            wanted = colorsys.rgb_to_hsv(*(part / 255 for part in BASES[colour]))[0]
            assert abs((hue - wanted + 0.5) % 1 - 0.5) < 0.03, kind
            assert saturation > 0.28, kind
            assert nearest(middle) == colour, kind


def test_shades_of_a_colour_stay_that_colour() -> None:
    for colour in COLOURS:
        bases = {tones(colour, Random(seed)).base for seed in range(200)}
        assert len(bases) > 3
        assert {nearest(np.array(base, float)) for base in bases} == {colour}


@pytest.mark.parametrize("background", ["snow", "night"])
def test_things_are_drawn_in_their_box(background: str) -> None:
    for kind in KINDS:
        scene = alone(kind, "white" if background == "snow" else "black", background)
        box = scene.things[0].box
        empty = drawn(Scene(scene.seed, background, ()))
        changed = np.abs(drawn(scene) - empty).max(axis=-1) > 12
        left, top, right, bottom = (
            round(v * 96) for v in (box.left, box.top, box.right, box.bottom)
        )
        assert changed[top:bottom, left:right].mean() > 0.15, kind
        changed[max(0, top - 4) : bottom + 4, max(0, left - 4) : right + 4] = False
        assert changed.mean() < 0.002, kind


def test_sampled_things_stay_in_their_boxes(scenes: list[Scene]) -> None:
    for scene in scenes[:40]:
        empty = drawn(Scene(scene.seed, scene.background, ()))
        changed = np.abs(drawn(scene) - empty).max(axis=-1) > 30
        for thing in scene.things:
            box = thing.box
            left, top = (max(0, round(v * 96) - 3) for v in (box.left, box.top))
            right, bottom = (round(v * 96) + 3 for v in (box.right, box.bottom))
            assert changed[top:bottom, left:right].mean() > 0.15, scene
            changed[top:bottom, left:right] = False
        assert not changed.any(), scene


def test_a_picture_is_the_same_at_every_size(scenes: list[Scene]) -> None:
    for scene in scenes[:6]:
        small = scene.draw(128)
        large = scene.draw(384)
        assert (small.mode, small.size, large.size) == ("RGB", (128, 128), (384, 384))
        shrunk = np.asarray(large.resize((128, 128), Image.Resampling.BOX)).astype(float)
        assert np.abs(np.asarray(small).astype(float) - shrunk).mean() < 6


def test_a_brief_caption_names_every_thing_and_nothing_else() -> None:
    for seed in range(200):
        scene = make_scene(seed)
        words = set(scene.brief_caption().replace(",", "").split())
        for thing in scene.things:
            names = {n.one if thing.count == 1 else n.many for n in NOUNS[thing.kind]}
            assert any(set(name.split()) <= words for name in names)
        assert not words & {"in", "at", "by", "the", "left", "right", "above", "big", "small"}
        colours = {word for names in COLOUR_WORDS.values() for word in names} | set(COLOURS)
        assert not words & (colours - {"orange"})
        assert scene.brief_caption() == make_scene(seed).brief_caption()
