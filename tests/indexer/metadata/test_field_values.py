"""Values of fields keep what they are, from every kind of file, and compare as what they are."""

import json
import pickle
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoder.fake import FakeEncoder
from indexer import AnnotationError, Filters
from indexer.values import Spelled, cell, columns, compare, is_moment, number, value

LARGE = 2**63


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("5", 5),
        ("-5", -5),
        ("5.5", 5.5),
        ("0.25", 0.25),
        (" 7 ", 7),
        ("1234567890123456789", 1234567890123456789),
        ("9" * 30, 10**30 - 1),
        ("02134", "02134"),
        ("12e4", "12e4"),
        ("+5", "+5"),
        (".5", ".5"),
        ("5.", "5."),
        ("1,5", "1,5"),
        ("true", True),
        ("TRUE", True),
        ("False", False),
        ("yes", "yes"),
        ("2024-01-01", "2024-01-01"),
        ("", None),
        ("  ", None),
        ("NaN", None),
        ("nan", None),
        ("-inf", None),
        ("Nan", "Nan"),  # a name
        ("1" * 400 + ".5", "1" * 400 + ".5"),
    ],
)
def test_what_a_cell_says(text, said):
    found = cell(text)
    assert found == said
    assert type(found) is type(said)


def test_a_number_keeps_its_spelling():
    price = cell("4.50")
    assert (price, str(price), type(price)) == (4.5, "4.50", Spelled)
    assert str(pickle.loads(pickle.dumps(price))) == "4.50"
    assert json.dumps(price) == "4.5"


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.text())
def test_the_database_keeps_any_value(any_value):
    kept = columns(any_value)
    again = value(*kept)
    assert again == any_value
    assert type(again) is type(any_value)
    if isinstance(kept.number, int):
        assert -LARGE <= kept.number < LARGE


@given(st.integers(-(10**25), 10**25), st.integers(-2, 2))
def test_numbers_of_any_size_are_compared_exactly(n, more):
    assert number(str(n)) == n
    assert compare(str(n), str(n + more)) == (more < 0) - (more > 0)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("2024-02-29", True),
        ("2023-02-29", False),
        ("2024-01-01T12:30", True),
        ("2024-01-01 12:30:59.123456789", True),
        ("2024-01-01T12:30:00Z", True),
        ("2024-01-01T12:30:00+05:30", True),
        ("12:30", True),
        ("25:30", False),
        ("2024", False),
        ("20240101", False),
        ("2024-01", False),
        ("x", False),
        ("", False),
    ],
)
def test_what_counts_as_a_moment(text, is_one):
    assert is_moment(text) is is_one


IDS = (1234567890123456788, 1234567890123456789, LARGE - 1, LARGE, LARGE + 1, 9 * 10**18 + 10**18)


@pytest.fixture
def ask(photos):
    """Annotates a.png, b.png, ... with one value each, and asks which pass a test."""

    def ask_of(values, *tests, ending="csv"):
        names = [f"{chr(97 + n)}.png" for n in range(len(values))]
        for n, name in enumerate(names):
            photos.paint(name, ("red", "green", "blue", "white", "yellow", "black")[n])
        photos.index()
        if ending == "csv":
            rows = "".join(f'{name},"{said}"\n' for name, said in zip(names, values, strict=True))
            photos.library.annotate(photos.write("t.csv", "path,x\n" + rows))
        else:
            lines = (json.dumps({"path": n, "x": v}) for n, v in zip(names, values, strict=True))
            photos.library.annotate(photos.write("t.jsonl", "\n".join(lines)))
        return [
            [values[ord(hit.stem) - 97] for hit in sorted(passing(photos, test))] for test in tests
        ]

    return ask_of


def passing(photos, test):
    query = FakeEncoder().encode_texts(["red"])[0]
    found = photos.library.search(query, 100, filters=Filters.parse(fields=[test]))
    return [item.path for item in photos.library.items(found.ids.tolist())]


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_long_ids_do_not_meet_their_neighbours(ask, ending):
    tests = [f"x{op}{n}" for n in IDS for op in ("=", ">", "<=")]
    expected = []
    for n in IDS:
        expected += [[n], [m for m in IDS if m > n], [m for m in IDS if m <= n]]
    assert ask(IDS, *tests, ending=ending) == expected


def test_spellings(ask):
    values = ["02134", "2134", "4.50", "12e4", "120000", "4.5"]
    assert ask(
        values,
        "x=2134",
        "x=02134",
        "x=4.5",
        "x=4.500",
        "x=12e4",
        "x=120000",
        "x>2000",
        "x<5",
        "x~.5",
    ) == [
        ["2134"],
        ["02134"],
        ["4.50", "4.5"],
        ["4.50", "4.5"],
        ["12e4"],
        ["120000"],
        ["02134", "2134", "12e4", "120000"],
        ["4.50", "4.5"],
        ["4.50", "4.5"],
    ]


def test_numbers_in_texts_of_json(ask):
    assert ask(["5", 5, "05", 6.0, "six"], "x>=5", "x=5", "x=5.0", "x!=5", ending="jsonl") == [
        ["5", 5, "05", 6.0],
        ["5", 5],
        ["5", 5],
        ["05", 6.0, "six"],
    ]


@pytest.mark.parametrize(
    ("ending", "yes", "no"), [("csv", "TRUE", "False"), ("jsonl", True, False)]
)
def test_truth(ask, ending, yes, no):
    assert ask([yes, no], "x=true", "x=True", "x=FALSE", "x!=true", ending=ending) == [
        [yes],
        [yes],
        [no],
        [no],
    ]


def test_dates(ask):
    values = [
        "2023-12-31",
        "2024-01-01",
        "2024-01-01 23:59",
        "2024-02-10T08:00:00",
        "12:30",
        "next",
    ]
    assert ask(
        values,
        "x>=2024-01-01",
        "x>2024-01-01",
        "x<=2024-01-01",
        "x<2024-02",
        "x=2024-01-01",
        "x=2024",
        "x>=2024-01-01T12:00",
        "x<13:00",
        "x>=2024",
    ) == [
        values[1:4],
        values[3:4],
        values[:3],
        values[:3],
        values[1:3],
        values[1:4],
        values[2:4],
        ["12:30"],
        values[1:4],
    ]


def test_points_in_time(ask):
    values = ["2024-01-01T00:30:00+02:00", "2023-12-31T23:00:00Z", "2024-01-01T01:00:00+01:00"]
    assert ask(values, "x<2023-12-31T23:00:00Z", "x=2024-01-01T00:00:00+01:00") == [
        [values[0]],
        [values[1]],
    ]


def test_texts_hold_other_texts(ask):
    values = ["A boat at Noon", "no boats", "cafe\u0301", "CAF\u00c9 2"]
    assert ask(values, "x~boat", "x~BOAT AT", "x~caf\u00e9", "x=caf\u00e9", "x~2") == [
        values[:2],
        values[:1],
        values[2:],
        values[2:3],
        values[3:],
    ]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("t.csv", "path,n\na.png,1,2\n", "line 2: the header has columns: 2, this row: 3"),
        ("t.csv", "path,n\na.png\n", "line 2: the header has columns: 2, this row: 1"),
        ("t.csv", 'path,n\na.png,"x\nb.png,2\n', "line 2: is not CSV"),
        ("t.csv", "path,n,n\na.png,1,2\n", "line 1: the header has the column n more than once"),
        ("t.csv", "path,Path\na.png,1\n", "line 2: Path stands there more than once"),
        ("t.csv", "a.png,5\nb.png,6\n", "line 1: names no column path or sha256"),
        ("t.csv", "path;n\na.png;6\n", "line 1: names no column path or sha256"),
        ("t.csv", "path,note\na.png,one, two\n", "line 2: the header has columns: 2"),
        ("t.jsonl", '{"path": "a.png"}\n\n{"n"\n', "line 3: is not a JSON object"),
        ("t.jsonl", '{"path": "a.png"}\n{"n": 1}\n', "line 2: has neither path nor sha256"),
    ],
)
def test_a_table_is_read_strictly_or_not_at_all(photos, name, text, problem):
    photos.paint("a.png", "red")
    photos.index()
    with pytest.raises(AnnotationError, match=problem):
        photos.library.annotate(photos.write(name, text))
    assert [dict(item.fields) for item in photos.library.find(photos.folder / "a.png")] == [{}]


def test_rows_without_text_and_columns_without_name_do_not_count(photos):
    photos.paint("a.png", "red")
    photos.index()
    report = photos.library.annotate(
        photos.write("t.csv", "path, n ,,\n\n a.png, 5 ,x,\n,,,\n  \n")
    )
    assert (report.matched, report.unmatched) == (1, 0)
    assert [dict(item.fields) for item in photos.library.find(photos.folder / "a.png")] == [
        {"n": 5}
    ]


def test_what_no_field_can_keep_is_named_and_the_rest_goes_in(photos):
    photos.paint("a.png", "red")
    photos.index()
    rows = [{"path": "a.png", "n": 1, "where": {"x": 1}, "grid": [[1], [2]], "m": float("nan")}]
    report = photos.library.annotate(photos.write("t.jsonl", "\n".join(map(json.dumps, rows))))
    assert (report.unkept, report.unkept_examples) == (
        2,
        ("where in line 1 (an object)", "grid in line 1 (a list in a list)"),
    )
    assert [dict(item.fields) for item in photos.library.find(photos.folder / "a.png")] == [
        {"n": 1}
    ]


def arrow_cases():
    import pyarrow as pa

    moment = datetime(2024, 5, 6, 7, 8, 9)
    nanoseconds = 1_714_979_289_123_456_789
    late = pa.scalar(2**62, pa.timestamp("ms"))
    for unit in ("s", "ms", "us", "ns"):
        yield pa.scalar(moment, pa.timestamp(unit)), "2024-05-06T07:08:09"
        yield pa.scalar(moment, pa.timestamp(unit, "Europe/Paris")), "2024-05-06T09:08:09+02:00"
        yield pa.scalar(moment, pa.timestamp(unit, "+05:30")), "2024-05-06T12:38:09+05:30"
        yield pa.scalar(timedelta(seconds=90), pa.duration(unit)), 90
    yield pa.scalar(nanoseconds, pa.timestamp("ns")), "2024-05-06T07:08:09.123456789"
    yield pa.scalar(-1, pa.timestamp("ns", "UTC")), "1969-12-31T23:59:59.999999999+00:00"
    yield pa.scalar(0, pa.timestamp("s", "Nowhere/Land")), "1970-01-01T00:00:00+00:00"
    yield pa.scalar(1500, pa.duration("ms")), 1.5
    yield pa.scalar(time(1, 2, 3), pa.time32("s")), "01:02:03"
    yield pa.scalar(3_723_000_000_001, pa.time64("ns")), "01:02:03.000000001"
    yield pa.scalar(date(2024, 2, 29), pa.date32()), "2024-02-29"
    yield pa.scalar(date(2024, 2, 29), pa.date64()), "2024-02-29"
    yield pa.scalar(Decimal("4.50"), pa.decimal128(5, 2)), Spelled(4.5, "4.50")
    yield pa.scalar(2**64 - 1, pa.uint64()), 2**64 - 1
    yield pa.scalar(1.5, pa.float16()), 1.5
    yield pa.scalar(["a", "b"], pa.list_(pa.string())), ("a", "b")
    yield pa.scalar([moment], pa.list_(pa.timestamp("ns"))), "2024-05-06T07:08:09"
    yield pa.scalar("boat", pa.dictionary(pa.int8(), pa.string())), "boat"
    yield pa.scalar(True), True
    yield pa.scalar("x", pa.large_string()), "x"
    yield late, None
    yield pa.scalar(b"x", pa.binary()), None
    yield pa.scalar({"a": 1}, pa.struct([("a", pa.int8())])), None


def test_every_type_of_parquet(photos):
    import pyarrow as pa
    import pyarrow.parquet as pq

    photos.paint("a.png", "red")
    photos.index()
    cases = list(arrow_cases())
    table = photos.folder / "t.parquet"
    arrays = {f"c{n}": pa.array([scalar], scalar.type) for n, (scalar, _) in enumerate(cases)}
    pq.write_table(pa.table({"path": ["a.png"], **arrays}), table, coerce_timestamps=None)
    report = photos.library.annotate(table)
    (item,) = photos.library.find(photos.folder / "a.png")
    assert dict(item.fields) == {
        f"c{n}": said for n, (_, said) in enumerate(cases) if said is not None
    }
    n = len(cases) - 3
    assert report.unkept_examples == (
        f"c{n} in row 1 (a time outside the years 1 to 9999)",
        f"c{n + 1} in row 1 (bytes)",
        f"c{n + 2} in row 1 (an object)",
    )
