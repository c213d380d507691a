"""Every filter against a slow and obvious test of each item; and filters that are refused."""

import dataclasses
import math
import os
import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import true

from encoder.fake import FakeEncoder
from indexer import FilterError, Filters, Library
from indexer.content import Content
from indexer.database import connection, embeddings, journal
from indexer.database.functions import EARTH_RADIUS, great_circle_km
from indexer.folders import watching
from indexer.records import Model
from indexer.search.filters import FieldTest, Near


@dataclass(frozen=True)
class Shot:
    """The metadata of one picture."""

    path: str = "a.jpg"
    root: int = 0
    taken_at: str | None = None
    camera: str | None = None
    place: tuple[float, float] | None = None
    size: tuple[int, int] = (8, 8)
    format: str = "JPEG"
    fields: dict[str, float | str] = field(default_factory=dict)


class Shelf:
    """A library of `Shot`s without files. It has roots one and two; the first holds the library."""

    def __init__(self, folder):
        self.roots = [folder / "one", folder / "two"]
        for root in self.roots:
            root.mkdir(parents=True)
        self.library = Library.create(self.roots[0])
        self.engine = connection.connect(self.library.path / "library.db", writable=True)
        self.shots = {}
        self.keys = count()
        with self.engine.begin() as db:
            self.model = journal.add_model(db, Model("fake", "fa4e", 4))
            journal.use_model(db, self.model)
            for root in self.roots:
                watching.watch(db, os.fsencode(root), recursive=True)

    def put(self, shots, colours=None):
        from datetime import datetime

        rng = np.random.default_rng(len(self.shots))
        with self.engine.begin() as db:
            for shot in shots:
                key = b"%d" % next(self.keys)
                file_id = journal.put_file(db, shot.root + 1, os.fsencode(shot.path), 1, 1, key)
                latitude, longitude = shot.place or (None, None)
                content = Content(
                    "image",
                    key,
                    width=shot.size[0],
                    height=shot.size[1],
                    format=shot.format,
                    taken_at=shot.taken_at and datetime.fromisoformat(shot.taken_at),
                    camera=shot.camera,
                    latitude=latitude,
                    longitude=longitude,
                )
                id = journal.add_item(db, file_id, 0, content)
                said = [(("image", key), *pair) for pair in shot.fields.items()]
                journal.annotate(db, "person", journal.add_statement(db, {}), said)
                row = rng.normal(size=4)
                vector = embeddings.encode((row / np.linalg.norm(row))[None].astype(np.float32))
                journal.add_embeddings(db, self.model, [(id, vector[0])])
                journal.log_added(db, [(id, "image")])
                self.shots[id] = shot

    def clear(self):
        with self.engine.begin() as db:
            journal.delete_items(db, list(self.shots))
            journal.take_back(db, true())
        self.shots = {}

    def found(self, **options):
        return self.search(Filters.parse(**options), 1000)

    def search(self, filters, k):
        query = FakeEncoder().encode_texts(["red"])[0]
        return sorted(self.library.search(query, k, filters=filters).ids.tolist())

    def where(self, test):
        return [id for id, shot in self.shots.items() if test(shot)]

    def close(self):
        self.engine.dispose()
        self.library.close()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    made = Shelf(tmp_path_factory.mktemp("shelf"))
    yield made
    made.close()


@pytest.fixture
def with_shots(shelf):
    """Put shots on the empty shelf."""

    def put(shots):
        shelf.clear()
        shelf.put(shots)
        return shelf

    return put


fuzzy = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


# --- dates

TIMES = [
    None,
    "2023-12-31T23:59:59",
    "2024-01-01T00:00:00",
    "2024-01-01T00:00:00+14:00",
    "2024-05-01T12:29:59",
    "2024-05-01T12:30:00-08:00",
    "2024-05-01T12:30:45",
    "2024-05-31T23:59:59",
    "2024-06-01T00:00:00+00:00",
    "2025-01-01T00:00:00",
    "0999-01-01T00:00:00",
]
DATES = [
    *("2024", "2025", "2024-05", "2024-06", "2024-05-01", "2024-05-31", "0999"),
    *("2024-05-01T12:30", "2024-05-01T12:30:45", "2024-01-01T00:00"),
]


def start(date):
    """The first second of a date."""
    return date + "0000-01-01T00:00:00"[len(date) :]


@pytest.mark.parametrize("date", DATES)
def test_dates_are_compared_with_the_local_time(with_shots, date):
    shelf = with_shots([Shot(path=f"{n}.jpg", taken_at=time) for n, time in enumerate(TIMES)])
    later = shelf.where(lambda s: s.taken_at and s.taken_at[:19] >= start(date))
    earlier = shelf.where(lambda s: s.taken_at and s.taken_at[:19] < start(date))
    assert shelf.found(after=date) == later
    assert shelf.found(before=date) == earlier
    assert len(later) + len(earlier) == len(TIMES) - 1


def test_dates_together(with_shots):
    shelf = with_shots([Shot(path=f"{n}.jpg", taken_at=time) for n, time in enumerate(TIMES)])
    found = [shelf.shots[id].taken_at for id in shelf.found(after="2024-05", before="2024-06")]
    assert found == TIMES[4:8]


# --- paths

NAMES = [
    *("a_b%/x.jpg", "aXb%/x.jpg", "a_b%x.jpg", "a/b.jpg", "a/b/c.jpg", "ab/c.jpg", "A/b.jpg"),
    *("a*/x.jpg", "a[b/x.jpg", "b/a/b.jpg", "a.jpg", "a", "x/ä.jpg", "a0/b.jpg", "a./b.jpg"),
    *(os.fsdecode(b"caf\xe9/x.jpg"), "a b.jpg"),
]
PATHS = [
    *NAMES,
    "a_b%",
    "aXb%",
    "b",
    "b/a",
    "a*",
    "a[b",
    "x",
    "nowhere",
    ".",
    "a/",
    os.fsdecode(b"caf\xe9"),
]


@pytest.fixture
def by_name(with_shots):
    return with_shots([Shot(path=name, root=root) for root in (0, 1) for name in NAMES])


@pytest.mark.parametrize("path", PATHS)
def test_under_is_at_or_below_and_literal(by_name, path):
    for n, root in enumerate(by_name.roots):
        folder = root / path
        expected = by_name.where(
            lambda s, n=n, folder=folder, root=root: (
                s.root == n and (root / s.path == folder or folder in (root / s.path).parents)
            )
        )
        for under in (folder, str(folder)):
            if expected or folder.exists():
                assert by_name.found(under=under) == expected
            else:
                with pytest.raises(FilterError, match="is neither on disk nor in the library"):
                    by_name.found(under=under)


def test_under_a_folder_around_roots_or_next_to_them(by_name, monkeypatch, tmp_path):
    everything = list(by_name.shots)
    assert by_name.found(under=by_name.roots[0].parent) == everything
    assert by_name.found(under="/") == everything
    assert by_name.found(under=tmp_path) == []
    (tmp_path / "empty").mkdir()
    assert by_name.found(under=tmp_path / "empty") == []
    nowhere = f"{by_name.roots[0]}x"
    with pytest.raises(FilterError) as caught:
        by_name.found(under=nowhere)
    assert str(caught.value) == f"under {nowhere!r} is neither on disk nor in the library"
    monkeypatch.chdir(by_name.roots[1].parent)
    below = by_name.where(lambda s: s.root == 1 and (s.path == "a" or s.path.startswith("a/")))
    assert by_name.found(under="two/a") == below
    (tmp_path / "link").symlink_to(by_name.roots[1])
    assert by_name.found(under=tmp_path / "link/a") == below


def glob_as_regex(pattern):
    """GLOB as its documentation describes it."""
    parts = []
    at = 0
    while at < len(pattern):
        char, at = pattern[at], at + 1
        if char in "*?":
            parts.append(".*" if char == "*" else ".")
        elif char == "[":
            close = pattern.index("]", at + 1)
            parts.append("[" + pattern[at:close].replace("[", r"\[") + "]")
            at = close + 1
        else:
            parts.append(re.escape(char))
    return re.compile("".join(parts), re.DOTALL)


@pytest.mark.parametrize(
    "pattern",
    [
        *("*", "*.jpg", "a/*", "a/b.jpg", "b.jpg", "?.jpg", "a?b*", "a_b%/*", "a_b%*", "A/*"),
        *("[ab]/*.jpg", "[^a]/*", "a[*]/*", "a[[]b/*", "x/?.jpg", "a b.jpg", "", "nothing"),
    ],
)
def test_globs_match_from_any_folder_on(by_name, pattern):
    if not pattern:
        with pytest.raises(FilterError):
            by_name.found(glob=pattern)
        return
    test = glob_as_regex(pattern)

    def matches(shot):
        parts = shot.path.split("/")
        return any(test.fullmatch("/".join(parts[n:])) for n in range(len(parts)))

    assert by_name.found(glob=pattern) == by_name.where(matches)


def test_globs_of_names_in_any_bytes(by_name):
    expected = by_name.where(lambda s: s.path.startswith("caf"))
    for pattern in (os.fsdecode(b"caf\xe9/x.jpg"), os.fsdecode(b"caf\xe9/*"), "caf*/x.jpg"):
        assert by_name.found(glob=pattern) == expected


# --- cameras and formats

CAMERAS = [None, "Canon EOS 5D", "CANON", "NIKON D850", "a_b%", "aXb%c", "100%", "*", "ÉTOILE 1"]


@pytest.mark.parametrize(
    "text", ["canon", "EOS", "n", "a_b%", "_", "%", "*", "étoile", "5d ", "d8", "nothing", "'--"]
)
def test_cameras_by_a_literal_part_in_any_case(with_shots, text):
    shelf = with_shots([Shot(path=f"{n}.jpg", camera=name) for n, name in enumerate(CAMERAS)])
    expected = shelf.where(lambda s: s.camera and text.casefold() in s.camera.casefold())
    assert shelf.found(camera=text) == expected


@pytest.mark.parametrize(
    ("options", "formats"),
    [
        (["jpg"], {"JPEG", "MPO"}),
        (["JPEG"], {"JPEG", "MPO"}),
        (["mpo"], {"MPO"}),
        (["Png"], {"PNG"}),
        (["heic"], {"HEIF"}),
        (["heif"], {"HEIF"}),
        (["tif", " webp "], {"TIFF", "WEBP"}),
    ],
)
def test_formats_mean_any_of_them(with_shots, options, formats):
    names = ["JPEG", "PNG", "HEIF", "MPO", "TIFF", "WEBP", "GIF"]
    shelf = with_shots([Shot(path=f"{name}.x", format=name) for name in names])
    assert shelf.found(formats=options) == shelf.where(lambda s: s.format in formats)


def test_sizes(with_shots):
    sizes = [(1, 1), (99, 100), (100, 99), (100, 100), (5000, 1)]
    shelf = with_shots([Shot(path=str(size), size=size) for size in sizes])
    for n in (0, 1, 99, 100, 101, 5000, 5001):
        assert shelf.found(min_width=n) == shelf.where(lambda s, n=n: s.size[0] >= n)
        assert shelf.found(min_height=str(n)) == shelf.where(lambda s, n=n: s.size[1] >= n)
    assert shelf.found(min_width=100, min_height=100) == shelf.where(lambda s: s.size == (100, 100))


# --- places


def on_the_sphere(place):
    """Unit vector."""
    latitude, longitude = (math.radians(angle) for angle in place)
    across = math.cos(latitude)
    return np.array(
        [across * math.cos(longitude), across * math.sin(longitude), math.sin(latitude)]
    )


def km_between(a, b):
    """By the angle between two vectors, computed so that small angles are exact, too."""
    a, b = on_the_sphere(a), on_the_sphere(b)
    return EARTH_RADIUS * math.atan2(float(np.linalg.norm(np.cross(a, b))), float(a @ b))


places = st.tuples(
    st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, 90.0, 89.99, 0.0])),
    st.one_of(st.floats(-180, 180), st.sampled_from([-180.0, 180.0, 179.99, -179.99, 0.0])),
)


@settings(max_examples=300, deadline=None)
@given(a=places, b=places)
def test_the_distance_equals_that_of_vectors(a, b):
    assert great_circle_km(*a, *b) == pytest.approx(km_between(a, b), abs=1e-3, rel=1e-9)


@fuzzy
@given(
    shots=st.lists(st.none() | places, min_size=1, max_size=12),
    centre=places,
    km=st.sampled_from([0.5, 20.0, 1000.0, 9000.0, 20100.0]),
)
def test_near_equals_distances_of_vectors(with_shots, shots, centre, km):
    distances = [place and km_between(centre, place) for place in shots]
    shots = [p for p, d in zip(shots, distances, strict=True) if d is None or abs(d - km) > 0.01]
    shelf = with_shots([Shot(path=f"{n}.jpg", place=place) for n, place in enumerate(shots)])
    expected = shelf.where(lambda s: s.place and km_between(centre, s.place) <= km)
    # repr gives the shortest text of exactly this number
    assert shelf.found(near=f"{centre[0]!r}, {centre[1]!r},{km}") == expected


def test_near_the_pole_and_across_the_date_line(with_shots):
    everywhere = [(90.0, 0.0), (89.9, -100.0), (89.9, 80.0), (0.0, 179.95), (0.0, -179.95)]
    shelf = with_shots([Shot(path=f"{n}.jpg", place=place) for n, place in enumerate(everywhere)])

    def near(options):
        return [shelf.shots[id].place for id in shelf.found(near=options)]

    assert near("89.95,10,20") == everywhere[:3]
    assert near("0,180,10") == everywhere[3:]
    assert near("0,-179.9,20") == everywhere[3:]
    assert near("0,179.95,0.001") == [everywhere[3]]


# --- fields

values = st.one_of(
    st.sampled_from([0.0, 5.0, -5.0, 5.5, 1e300]),
    st.sampled_from(["5", "boat", "a_b%", "Boat", "*"]),
)
names = st.sampled_from(["n", "a_b%", "of place"])


def passes(shot, name, operator, wanted):
    have = shot.fields.get(name)
    if have is None:
        return False
    if operator in ("=", "!="):
        plain = {"5": 5, "5.0": 5, "-5": -5, "0": 0}
        numbers = plain.get(wanted), plain.get(have, have)
        return (have == wanted or numbers[0] == numbers[1]) == (operator == "=")
    try:
        have, n = float(have), float(wanted)
    except ValueError:
        return False
    return {">=": have >= n, "<=": have <= n, ">": have > n, "<": have < n}[operator]


@fuzzy
@given(
    shots=st.lists(st.dictionaries(names, values), max_size=10),
    name=names,
    operator=st.sampled_from(["=", "!=", ">=", "<=", ">", "<"]),
    wanted=st.sampled_from(["5", "5.0", "-5", "0", "1e3", ".5"]),
    text=st.sampled_from(["boat", "a_b%", "*", "=x", "' OR 1=1 --"]),
)
def test_fields_equal_a_test_of_each_item(with_shots, shots, name, operator, wanted, text):
    known = [{"n": 1.0, "a_b%": 1.0, "of place": 1.0}, *shots]
    shelf = with_shots([Shot(path=f"{i}.jpg", fields=each) for i, each in enumerate(known)])
    expected = shelf.where(lambda s: passes(s, name, operator, wanted))
    assert shelf.found(fields=[f"{name}{operator}{wanted}"]) == expected
    assert shelf.found(fields=[f" {name} {operator} {wanted} "]) == expected
    if operator in ("=", "!=") and not text.startswith("="):
        expected = shelf.where(lambda s: passes(s, name, operator, text))
        assert shelf.found(fields=[f"{name}{operator}{text}"]) == expected
    both = shelf.where(lambda s: passes(s, "n", ">=", "1") and passes(s, name, "!=", wanted))
    assert shelf.found(fields=["n>=1", f"{name}!={wanted}"]) == both


def test_two_equal_signs_mean_one(with_shots):
    shelf = with_shots([Shot(fields={"n": 5.0})])
    assert len(shelf.found(fields=["n==5"])) == 1


def test_an_unknown_field_names_those_that_are_known(with_shots):
    shelf = with_shots([Shot(fields={"aesthetic": 5.0, "place": "x"})])
    with pytest.raises(FilterError) as caught:
        shelf.found(fields=["place=x", "aesthetc>=5"])
    assert str(caught.value) == (
        "field 'aesthetc>=5' names no known field; the library has aesthetic, place"
    )
    shelf.put([Shot(path="b.jpg", fields={f"f{n:02}": 1.0 for n in range(30)})])
    with pytest.raises(FilterError, match=r"has aesthetic, f00, .*, f18, \.\.\.$"):
        shelf.found(fields=["aesthetc>=5"])
    shelf.clear()
    with pytest.raises(FilterError, match="has none yet: add some with align annotate FILE"):
        shelf.found(fields=["aesthetic>=5"])


# --- all together


@fuzzy
@given(
    shots=st.lists(
        st.builds(
            Shot,
            path=st.sampled_from(["x/", "y/"]),
            taken_at=st.sampled_from(TIMES),
            camera=st.sampled_from(CAMERAS),
            size=st.sampled_from([(8, 8), (900, 600), (600, 900)]),
            format=st.sampled_from(["JPEG", "PNG"]),
            fields=st.fixed_dictionaries({"n": st.sampled_from([1.0, 5.0])}),
        ),
        min_size=1,
        max_size=60,
    ),
    k=st.integers(1, 30),
    options=st.fixed_dictionaries(
        {},
        optional={
            "after": st.just("2024"),
            "under": st.just("x"),
            "camera": st.just("n"),
            "min_width": st.just(600),
            "formats": st.just(["png"]),
            "fields": st.just(["n>=2"]),
        },
    ),
    published=st.booleans(),
)
def test_filters_lose_no_answer(with_shots, shots, k, options, published):
    """The k best of the items that pass all filters, in the generation and in the delta."""
    from dataclasses import replace

    from indexer.ann import generations

    shelf = with_shots([replace(s, path=f"{s.path}{n}") for n, s in enumerate(shots[::2])])
    if published:
        generations.publish(shelf.engine, shelf.library.path, "image", pytest.fail)
    shelf.put([replace(s, path=f"{s.path}{n}b") for n, s in enumerate(shots[1::2])])
    tests = {
        "after": lambda s: s.taken_at is not None and s.taken_at >= "2024",
        "under": lambda s: s.path.startswith("x/"),
        "camera": lambda s: s.camera is not None and "n" in s.camera.casefold(),
        "min_width": lambda s: s.size[0] >= 600,
        "formats": lambda s: s.format == "PNG",
        "fields": lambda s: s.fields["n"] >= 2,
    }
    passing = set(shelf.where(lambda s: all(tests[name](s) for name in options)))
    query = FakeEncoder().encode_texts(["green"])[0]
    ranking = shelf.library.search(query, 1000)
    expected = [
        (id, score)
        for id, score in zip(ranking.ids.tolist(), ranking.scores.tolist(), strict=True)
        if id in passing
    ][:k]
    if "under" in options:
        options = options | {"under": shelf.roots[0] / "x"}
        options["under"].mkdir(parents=True, exist_ok=True)
    found = shelf.library.search(query, k, filters=Filters.parse(**options))
    assert list(zip(found.ids.tolist(), found.scores.tolist(), strict=True)) == expected
    assert len(found.ids) == min(k, len(passing))


def test_no_filter_is_no_filter(with_shots, monkeypatch):
    shelf = with_shots([Shot(path=str(n)) for n in range(5)])
    monkeypatch.setattr("indexer.library.matching_ids", None)
    assert shelf.search(Filters(), 10) == shelf.search(None, 10) == list(shelf.shots)


def test_texts_are_filtered_too(photos):
    one, two = photos.write("a/1.txt", "red\ngreen"), photos.write("b/2.txt", "red")
    photos.index(one, two)
    filters = Filters.parse(under=two.parent)
    assert photos.nearest("red", 9, kind="text", filters=filters) == photos.ids("b/2.txt")
    assert photos.nearest("red", 9, kind="text", filters=Filters.parse(min_width=0)) == []


# --- what is refused


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        *(
            (
                {name: text},
                f"{name} {text!r} is no date such as 2024, 2024-05, 2024-05-01 or 2024-05-01T12:30",
            )
            for name in ("after", "before")
            for text in (
                *("", "24", "2024-13", "2024-02-30", "2024-5-1", "2024-05T12:30", "2024T12:30"),
                *("2024-05-01T25:00", "2024-05-01T12", "2024-05-01 12:30", "yesterday", "2024%"),
                *("0000", "2024-", "2024-05-01T12:30:61", "\uff12\uff10\uff12\uff14", "2024\n"),
            )
        ),
        ({"under": ""}, "under '' is empty"),
        ({"under": "a\0b"}, r"under 'a\x00b' is no path"),
        ({"glob": "\ud800"}, r"glob '\ud800' is no path"),
        ({"glob": "*" * 1001}, f"glob '{'*' * 20}...' is longer than 1,000 characters"),
        ({"camera": " "}, "camera ' ' is empty"),
        ({"camera": "\udce9"}, r"camera '\udce9' is not a text in UTF-8"),
        (
            {"near": "48.86"},
            "near '48.86' is not LAT,LON,KM such as 48.86,2.35,10",
        ),
        (
            {"near": "1,2,x"},
            "near '1,2,x' is not LAT,LON,KM such as 48.86,2.35,10",
        ),
        ({"near": "1,nan,3"}, None),
        ({"near": "1,2,inf"}, None),
        ({"near": "1,2,3,4"}, None),
        ({"near": "91,0,5"}, "near '91,0,5' has a latitude outside -90 to 90: 91"),
        ({"near": "0,-180.5,5"}, "near '0,-180.5,5' has a longitude outside -180 to 180: -180.5"),
        ({"near": "0,0,0"}, "near '0,0,0' has a distance that is not above 0: 0"),
        ({"near": "0,0,-1"}, "near '0,0,-1' has a distance that is not above 0: -1"),
        ({"min_width": "-1"}, "min-width '-1' is no whole number from 0 to 2147483648"),
        ({"min_height": "1e3"}, "min-height '1e3' is no whole number from 0 to 2147483648"),
        ({"min_height": 10**30}, None),
        ({"min_width": 2.5}, None),
        ({"formats": ["png", "jpgg"]}, "format 'jpgg' is not one of AVIF BMP DIB GIF HEIF ICO"),
        ({"fields": ["x"]}, "field 'x' is not a name, one of = != >= <= > < ~ and a value"),
        ({"fields": [">=5"]}, "field '>=5' is not a name, one of = != >= <= > < ~ and a value"),
        ({"fields": ["x >= "]}, "field 'x >= ' is not a name, one of = != >= <= > < ~ and a value"),
        (
            {"fields": ["x<high"]},
            "field 'x<high' compares with 'high', no number and no date: use =, != or ~",
        ),
        (
            {"fields": ["x>nan"]},
            "field 'x>nan' compares with 'nan', no number and no date: use =, != or ~",
        ),
        ({"fields": ["x=\ud800"]}, r"field 'x=\ud800' is not a text in UTF-8"),
    ],
)
def test_bad_filters_name_the_part_that_is_wrong(options, complaint):
    with pytest.raises(FilterError) as caught:
        Filters.parse(**options)
    sentence = str(caught.value)
    assert sentence.startswith(complaint or f"{next(iter(options)).replace('_', '-')} ")


def test_one_text_stands_for_a_list_of_one():
    assert Filters.parse(fields="stars>=4") == Filters.parse(fields=["stars>=4"])
    five: Any = np.int64(5)
    assert Filters.parse(formats="jpg") == Filters.parse(formats=["jpg"])
    assert Filters.parse(min_width=five) == Filters.parse(min_width=5)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"after": date(2024, 5, 1)}, {"after": "2024-05-01"}),
        ({"before": datetime(2024, 5, 1, 12, 30, 1, 5)}, {"before": "2024-05-01T12:30:01"}),
        ({"after": 2024}, {"after": "2024"}),
        ({"near": (48.86, 2.35, 10)}, {"near": "48.86,2.35,10"}),
        ({"near": Near(48.86, 2.35, 10)}, {"near": "48.86,2.35,10"}),
        ({"under": Path("a")}, {"under": "a"}),
        ({"under": b"a"}, {"under": "a"}),
        ({"min_width": np.int64(5)}, {"min_width": "5"}),
        ({"formats": {"heic"}}, {"formats": ["HEIC"]}),
        ({"fields": FieldTest("a", "=", "1")}, {"fields": "a=1"}),
    ],
)
def test_every_constructor_takes_what_people_and_programs_give(given, text):
    expected = Filters.parse(**text)
    assert Filters(**given) == Filters.parse(**given) == Filters(**text) == expected
    assert dataclasses.replace(expected) == dataclasses.replace(Filters(), **given) == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"before": "March"},
        {"after": "2024-13"},
        {"after": datetime(2024, 1, 1, tzinfo=UTC)},
        {"after": 5.5},
        {"formats": "letters"},
        {"formats": [5]},
        {"fields": "a"},
        {"fields": [5]},
        {"camera": 5},
        {"glob": 5},
        {"under": 5},
        {"near": 5},
        {"near": (1, 2)},
        {"near": Near(91, 0, 5)},
        {"min_height": "wide"},
    ],
)
def test_every_constructor_refuses_what_is_wrong(wrong):
    with pytest.raises(FilterError):
        Filters.parse(**wrong)
    with pytest.raises(FilterError):
        Filters(**wrong)
    with pytest.raises(FilterError):
        dataclasses.replace(Filters(), **wrong)
