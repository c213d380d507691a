"""Filters and order of hits, in Python and on the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import ExifTags, Image

from encoder import FakeEncoder
from encoder.fake import COLOURS
from indexer import FilterError, Library
from retrieval import Engine, Filters
from retrieval.cli import main

SHOTS = {
    "red": ("2024:05:01 10:00:00", None, "Canon"),
    "green": ("2024:05:01 09:00:00", "-08:00", "Nikon"),
    "blue": (None, None, None),
    "yellow": ("2025:01:01 00:00:00", "+09:00", "Canon"),
}


@pytest.fixture
def shots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four pictures, three with a capture time, each with a sidecar; and three texts."""
    for name in ("ALIGN_LIBRARY", "ALIGN_MODEL", "ALIGN_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "shots"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for n, (name, (stamp, offset, camera)) in enumerate(SHOTS.items()):
        exif = Image.Exif()
        detail = exif.get_ifd(ExifTags.IFD.Exif)
        for tag, value in (("DateTimeOriginal", stamp), ("OffsetTimeOriginal", offset)):
            if value:
                detail[ExifTags.Base[tag]] = value
        if camera:
            exif[ExifTags.Base.Make] = camera
        Image.new("RGB", (4 + n, 8), COLOURS[name]).save(folder / f"{name}.png", exif=exif)
        (folder / f"{name}.txt").write_text(f"a {name} thing")
    (folder / "texts").mkdir()
    (folder / "texts/captions.txt").write_text("red\ngreen\n")
    (folder / "other.txt").write_text("red\n")
    return folder


@pytest.fixture
def engine(shots: Path) -> Any:
    with Library.create(shots) as library:
        library.index([shots, shots / "texts/captions.txt", shots / "other.txt"], FakeEncoder)
    with Engine(Library.open(shots), lambda name: FakeEncoder()) as engine:
        yield engine


def names(hits: Any) -> list[str]:
    return [hit.path.stem for hit in hits]


def test_a_search_returns_only_what_passes_the_filters(engine: Engine, shots: Path) -> None:
    canon = Filters.parse(camera="canon")
    assert sorted(names(engine.search("green", filters=canon))) == ["red", "yellow"]
    assert (
        names(engine.search("blue", 1, filters=canon))
        == names(hit for hit in engine.search("blue", 4) if hit.path.stem in ("red", "yellow"))[:1]
    )
    assert names(engine.similar(shots / "red.png", filters=canon)) == ["yellow"]
    texts = Filters.parse(under=shots / "texts")
    found = engine.captions(shots / "red.png", filters=texts)
    assert [hit.text for hit in found] == ["red", "green"]


def test_the_caption_of_a_picture_is_its_text(engine: Engine) -> None:
    (hit,) = engine.search("red", 1)
    assert (hit.kind, hit.text) == ("image", "a red thing")


def test_newest_first_by_the_wall_clock_and_ranks_stay(engine: Engine, shots: Path) -> None:
    best = engine.search("blue", 4)
    newest = engine.search("blue", 4, sort="date")
    assert names(newest) == ["yellow", "red", "green", "blue"]
    assert sorted(newest, key=lambda hit: hit.rank) == best
    assert newest[-1].rank == 1
    relevant = engine.search("blue", 2, sort="date")
    assert sorted(relevant, key=lambda hit: hit.rank) == best[:2]
    assert names(engine.similar(shots / "blue.png", sort="date")) == ["yellow", "red", "green"]
    assert len(engine.captions(shots / "red.png", sort="date")) == 3


def test_an_unknown_order_is_refused(engine: Engine) -> None:
    unknown: Any = "size"
    with pytest.raises(ValueError, match="sort must be one of score, date, not size"):
        engine.search("red", sort=unknown)


# --- the command line


def align(*arguments: object, status: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == status, result.output
    return result


@pytest.fixture
def indexed(shots: Path, tiny_model: Path) -> Path:
    align("index", shots, "--model", tiny_model)
    return shots


def found(*arguments: object) -> set[str]:
    lines = align(*arguments, "--json").stdout.splitlines()
    return {Path(json.loads(line)["path"]).stem for line in lines}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--after", "2024-05-01T10:00"], {"red", "yellow"}),
        (["--before", "2024-05-01T10:00"], {"green"}),
        (["--after", "2024", "--before", "2025"], {"red", "green"}),
        (["--under", "."], set(SHOTS)),
        (["--under", "texts"], set()),
        (["--glob", "*e*n.png"], {"green"}),
        (["--camera", "canon"], {"red", "yellow"}),
        (["--near", "48.86,2.35,20100"], set()),
        (["--min-width", "6"], {"blue", "yellow"}),
        (["--min-height", "9"], set()),
        (["--format", "PNG", "--format", "jpg"], set(SHOTS)),
        (["--format", "jpg"], set()),
        (["--camera", "canon", "--min-width", "6"], {"yellow"}),
    ],
)
def test_every_filter_of_the_command_line(
    indexed: Path, options: list[str], expected: set[str]
) -> None:
    assert found("search", "red", *options) == expected
    assert found("similar", "red.png", *options) == expected - {"red"}


def test_annotating_then_filtering_by_field(indexed: Path) -> None:
    table = indexed / "scores.csv"
    table.write_text("path,aesthetic,place\nred.png,5.5,Oslo\nblue.png,4,a_b%\ngone.png,9,x\n")
    result = align("annotate", table)
    assert (result.stdout, result.stderr) == (
        "2 rows matched, 1 did not\n",
        "not in the library: gone.png\n",
    )
    assert found("search", "red", "--field", "aesthetic>=5") == {"red"}
    assert found("search", "red", "--field", "aesthetic>=4") == {"red", "blue"}
    assert found("search", "red", "--field", "place=a_b%") == {"blue"}
    assert found("search", "red", "--field", "aesthetic<9", "--field", "place!=Oslo") == {"blue"}
    (line,) = align("annotate", table, "--json").stdout.splitlines()
    assert json.loads(line) == {
        "library": str(indexed / ".align"),
        "matched": 2,
        "unmatched": 1,
        "examples": ["gone.png"],
        "empty": 0,
        "unkept": 0,
        "unkept_examples": [],
    }
    assert align("index").stdout.startswith("4 unchanged in ")


def test_only_the_first_few_rows_without_a_picture_are_named(indexed: Path) -> None:
    table = indexed / "scores.csv"
    table.write_text("path,n\n" + "".join(f"{n}.png,1\n" for n in range(7)))
    result = align("annotate", table, status=1)
    assert result.stderr == (
        "not in the library: 0.png, 1.png, 2.png, 3.png, 4.png ...\nnothing was annotated\n"
    )
    table.write_text("path,n\n")
    assert align("annotate", table, status=1).stderr == f"{table} has no rows\n"


def test_values_that_no_field_can_keep_are_named(indexed: Path) -> None:
    table = indexed / "t.jsonl"
    table.write_text('{"path": "red.png", "n": 2, "box": {"x": 1}}\n')
    result = align("annotate", table)
    assert result.stderr == (
        "no field can keep 1 value: box in line 1 (an object); the rest was stored\n"
    )
    assert found("search", "red", "--field", "n=2") == {"red"}


def test_tables_that_are_refused(indexed: Path) -> None:
    (indexed / "scores.csv").write_text("name,n\na,1\n")
    result = align("annotate", "scores.csv", status=1)
    assert result.stderr == (
        "align: scores.csv, line 1: names no column path or sha256, which must say what a row is"
        " about: 'name, n'\n"
    )
    assert "does not exist" in align("annotate", "nowhere.csv", status=2).stderr


def test_updated_sidecars_are_counted(indexed: Path) -> None:
    (indexed / "red.txt").write_text("another caption")
    assert align("index").stdout.startswith("1 updated, 3 unchanged in ")


def test_the_table_shows_paths_newest_first(indexed: Path) -> None:
    lines = align("search", "red", "--sort", "date").stdout.splitlines()
    assert [Path(line.split()[-1]).name for line in lines] == [
        *("yellow.png", "red.png", "green.png", "blue.png")
    ]
    assert sorted(int(line.split()[0]) for line in lines) == [1, 2, 3, 4]


@pytest.mark.parametrize(("value", "expected"), [("true", ["red"]), ("False", ["green"])])
def test_truth_values_are_filtered_as_they_are_written(
    engine: Engine, shots: Path, value: str, expected: list[str]
) -> None:
    for name, truth in (("red", True), ("green", False)):
        (shots / f"{name}.json").write_text(json.dumps({"kept": truth}))
    with Library.open(shots) as library:
        library.index([], FakeEncoder)
    hits = engine.search("red", filters=Filters.parse(fields=[f"kept={value}"]))
    assert [hit.path.stem for hit in hits] == expected


def test_an_unknown_field_is_refused_before_a_model_is_loaded(shots: Path) -> None:
    with Library.create(shots) as library:
        library.index([shots], FakeEncoder)
    asked = Filters.parse(fields=["aesthetic>=5"])
    refused = pytest.raises(FilterError, match="names no known field")
    with Engine(Library.open(shots), lambda name: pytest.fail("loaded")) as engine, refused:
        engine.search("red", filters=asked)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_no_hit_is_reported_on_stderr(indexed: Path, options: list[str]) -> None:
    result = align("search", "red", "--after", "2031", *options)
    assert (result.stdout, result.stderr) == ("", "nothing found\n")


@pytest.mark.parametrize("command", [["search", "red"], ["similar", "red.png"]])
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--after", "May"], "after 'May' is no date such as 2024, 2024-05, 2024-05-01 or"),
        (["--before", "2024-02-30"], "before '2024-02-30' is no date such as"),
        (["--near", "91,0,5"], "near '91,0,5' has a latitude outside -90 to 90: 91"),
        (["--min-width", "wide"], "min-width 'wide' is no whole number"),
        (["--min-height", "-1"], "min-height '-1' is no whole number"),
        (["--format", "doc"], "format 'doc' is not one of AVIF"),
        (["--field", "aesthetic"], "field 'aesthetic' is not a name, one of"),
        (["--field", "aesthetic>=high"], "field 'aesthetic>=high' compares with 'high', no number"),
        (["--field", "aesthetic>=5"], "field 'aesthetic>=5' names no known field; the library has"),
        (["--camera", ""], "camera '' is empty"),
        (["--sort", "size"], "'size' is not one of 'score', 'date'"),
    ],
)
def test_a_bad_filter_is_wrong_usage(
    indexed: Path, command: list[str], options: list[str], complaint: str
) -> None:
    result = align(*command, *options, status=2)
    assert complaint in result.stderr
    assert result.stderr.startswith("Usage: ")
    assert result.stdout == ""
