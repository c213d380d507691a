"""A name is the same in both forms of its accents, composed (NFC) and decomposed (NFD)."""

import json
import os
import shutil
import unicodedata

import pytest

from encoder.fake import FakeEncoder
from indexer import FilterError, Filters

NFC = "Måneskinn/blå é.png"


def form(name, text):
    return unicodedata.normalize(name, text)


@pytest.fixture(params=[("NFC", "NFD"), ("NFD", "NFC")], ids=["composed", "decomposed"])
def named(request, photos):
    """Photos whose name on disk has one form, and the same name in the other form."""
    written, asked = request.param
    photos.paint(form(written, NFC), "red")
    photos.paint("other/b.png", "green")
    photos.index()
    photos.written, photos.asked = form(written, NFC), form(asked, NFC)
    return photos


def found(library, **filters):
    query = FakeEncoder().encode_texts(["red"])[0]
    ids = library.search(query, 10, filters=Filters.parse(**filters)).ids
    return [item.path.name for item in library.items(ids.tolist())]


@pytest.mark.parametrize("glob", ["{folder}/*", "*{name}", "M?neskinn/bl? ?.png", "*bl[åä] é*"])
def test_globs(named, glob):
    folder, name = named.asked.split("/")
    asked = unicodedata.normalize("NFD" if named.asked == form("NFD", NFC) else "NFC", glob)
    if "[" in asked:
        asked = form("NFC", asked)  # a set of characters has one form
    glob = asked.format(folder=folder, name=name)
    assert found(named.library, glob=glob) == [os.path.basename(named.written)]


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("part", [0, 1])
def test_under(named, part, gone):
    asked = named.folder / ("/".join(named.asked.split("/")[: part + 1]))
    if gone:
        shutil.rmtree((named.folder / named.written).parent)
    assert found(named.library, under=asked) == [os.path.basename(named.written)]
    with pytest.raises(FilterError, match="neither on disk nor in the library"):
        found(named.library, under=named.folder / "Måneskin")


def test_under_a_folder_above_the_roots(tmp_path, photos):
    home = tmp_path / form("NFD", "Bücher")
    home.mkdir()
    shutil.copytree(photos.folder, home / "p", dirs_exist_ok=True)
    photos.paint(f"../{home.name}/p/a.png", "red")
    photos.index(home / "p")
    home.rename(tmp_path / "away")
    assert found(photos.library, under=tmp_path / form("NFC", "Bücher")) == ["a.png"]
    assert found(photos.library, under=tmp_path / form("NFC", "Bücher") / "p") == ["a.png"]


@pytest.mark.parametrize("glob", ["{name}", "/{folder}", "{folder}/bl*"])
def test_excludes(named, glob):
    folder, name = named.asked.split("/")
    glob = glob.format(folder=folder, name=name)
    report = named.library.index([], FakeEncoder, exclude=[glob])
    assert (report.deleted, report.unchanged) == (1, 1)


def test_annotations(named):
    row = {"path": named.asked, form("NFD", "Ort é"): form("NFD", "Malmö")}
    assert named.library.annotate(named.write("t.jsonl", json.dumps(row))).matched == 1
    row = {"path": str(named.folder / named.asked), "n": 1}
    assert named.library.annotate(named.write("t.jsonl", json.dumps(row))).matched == 1
    for shape in ("NFC", "NFD"):
        test = form(shape, "Ort é=Malmö")
        assert found(named.library, fields=[test]) == [os.path.basename(named.written)]


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize("part", [0, 1])
def test_forgetting(named, part, gone):
    if gone:
        shutil.rmtree((named.folder / named.written).parent)
    asked = named.folder / ("/".join(named.asked.split("/")[: part + 1]))
    forgotten = named.library.forget([asked])
    assert (forgotten.items, len(forgotten.excluded)) == (1, 0 if gone else 1)


def test_indexing_and_finding(named):
    asked = named.folder / named.asked
    assert [item.path.name for item in named.library.find(asked)] == [
        os.path.basename(named.written)
    ]
    assert named.library.index([asked], FakeEncoder).unchanged == 1


def test_of_two_names_that_look_alike_the_exact_one_is_meant(photos):
    for shape, colour in (("NFC", "red"), ("NFD", "green")):
        photos.paint(form(shape, "é.png"), colour)
    photos.index()
    for shape in ("NFC", "NFD"):
        (item,) = photos.library.find(photos.folder / form(shape, "é.png"))
        assert item.path.name == form(shape, "é.png")
    table = photos.write("t.csv", f"path,n\n{form('NFC', 'é.png')},1\n{form('NFD', 'é.png')},2\n")
    photos.library.annotate(table)
    assert found(photos.library, fields=["n=2"]) == [form("NFD", "é.png")]
