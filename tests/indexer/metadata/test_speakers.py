"""Who said a field, and what it belongs to: a sidecar's word to its file, any other to the
bytes."""

import json
import shutil

import pytest
from PIL import Image, PngImagePlugin

from encoder.fake import FakeEncoder
from indexer import FieldUnknown, Filters, Library, ModelMismatch

ABOUT = {"labels": ["bird", "beach"], "model": "fake"}


@pytest.fixture
def bird(photos):
    """a.png, of which a person said that it is a "seen" bird, and the other picture b.png."""
    photos.paint("a.png", "red")
    photos.paint("b.png", "green")
    photos.index()
    say(photos, "a.png", bird="seen")
    return photos


def say(photos, name, **fields):
    table = photos.write("said.jsonl", json.dumps({"path": name, **fields}))
    return photos.library.annotate(table)


def xmp(inside):
    return f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
        xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
        xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
        ><rdf:Description {inside}/></rdf:RDF></x:xmpmeta>"""


def engrave(path, inside):
    """Write attributes of XMP into the PNG at `path`, which is returned."""
    with Image.open(path) as image:
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp(inside))
        image.save(path, pnginfo=text)
    return path


def tag(photos, *values, names=("bird", "beach"), fingerprint="fa4e"):
    """`values` are pairs of a file name and what the tool says of it as a bird."""
    ids = {item.path.name: item.id for item in photos.library.items(photos.library.ids("image"))}
    rows = [(ids[name], "bird", value) for name, value in values]
    return photos.library.tag(names, rows, ABOUT, fingerprint=fingerprint)


def fields(photos):
    items = photos.library.items(photos.library.ids("image"))
    return {item.path.name: dict(item.fields) for item in items if item.fields}


def test_a_copy_has_the_annotation_and_keeps_it_when_the_first_is_gone(bird):
    shutil.copy(bird.folder / "a.png", bird.folder / "copy.png")
    bird.index()
    assert fields(bird) == {"a.png": {"bird": "seen"}, "copy.png": {"bird": "seen"}}
    (bird.folder / "a.png").unlink()
    bird.index()
    assert fields(bird) == {"copy.png": {"bird": "seen"}}
    assert bird.library.verify() == []


def test_a_picture_that_comes_back_has_its_annotation(bird):
    kept = (bird.folder / "a.png").read_bytes()
    (bird.folder / "a.png").unlink()
    bird.index()
    assert fields(bird) == {}
    bird.write("later/new.png", kept)
    bird.index()
    assert fields(bird) == {"new.png": {"bird": "seen"}}


def test_other_bytes_at_the_same_path_do_not_have_it(bird):
    bird.paint("a.png", "blue")
    bird.touch(bird.folder / "a.png")
    bird.index()
    assert fields(bird) == {}


def test_annotations_go_with_the_last_copy_that_is_forgotten(bird):
    shutil.copy(bird.folder / "a.png", bird.folder / "copy.png")
    bird.index()
    bird.library.forget([bird.folder / "a.png"])
    assert fields(bird) == {"copy.png": {"bird": "seen"}}
    bird.library.forget([bird.folder / "copy.png"])
    bird.index(bird.folder / "a.png")
    assert fields(bird) == {}


def test_what_a_sidecar_says_stays_with_its_file(photos):
    photos.paint("a.png", "red")
    photos.write("a.json", '{"bird": "wren"}')
    photos.index()
    shutil.copy(photos.folder / "a.png", photos.folder / "copy.png")
    photos.index()
    assert fields(photos) == {"a.png": {"bird": "wren"}}


HARBOUR = 'xmp:Rating="4" dc:title="Harbour" dc:subject="boat" dc:description="At noon"'
WORDS = {"description": "At noon", "rating": 4, "tags": "boat", "title": "Harbour"}


def test_words_in_the_file_are_fields_of_its_bytes(photos):
    engrave(photos.paint("a.png", "red"), HARBOUR)
    photos.index()
    assert fields(photos) == {"a.png": WORDS}
    (item,) = photos.library.items(photos.library.ids("image"))
    assert item.text is None
    assert {(said.name, said.speaker, said.at) for said in photos.library.said(item.id)} == {
        (name, "file", None) for name in WORDS
    }
    assert [field.speakers for field in photos.library.fields()] == [("file",)] * 4
    shutil.copy(photos.folder / "a.png", photos.folder / "copy.png")
    photos.index()
    (photos.folder / "a.png").rename(photos.folder / "moved.png")
    assert photos.index() == {"moved": 1, "unchanged": 1}
    assert fields(photos) == {"copy.png": WORDS, "moved.png": WORDS}
    engrave(photos.folder / "copy.png", 'dc:title="Other"')
    photos.touch(photos.folder / "copy.png")
    photos.index()
    assert fields(photos) == {"copy.png": {"title": "Other"}, "moved.png": WORDS}
    assert photos.library.verify() == []


def test_nobody_can_forget_what_a_file_says(photos):
    engrave(photos.paint("a.png", "red"), HARBOUR)
    photos.index()
    say(photos, "a.png", title="mine")
    assert photos.library.forget_fields(["title"]) == 1
    with pytest.raises(FieldUnknown, match="'title'"):
        photos.library.forget_fields(["title"])
    assert photos.library.forget_fields() == 0
    assert fields(photos) == {"a.png": WORDS}


def test_lost_words_of_a_file_come_back_when_it_is_indexed_anew(photos, sql):
    picture = engrave(photos.paint("a.png", "red"), HARBOUR)
    photos.index()
    sql(photos.library, "DELETE FROM annotations")
    assert fields(photos) == {}
    photos.library.forget([picture])
    photos.index(picture)
    assert fields(photos) == {"a.png": WORDS}


def test_a_tool_replaces_only_its_own(bird):
    assert tag(bird, ("a.png", 0.25), ("b.png", 0.75)) == {"bird": 1}
    assert fields(bird) == {"a.png": {"bird": "seen"}, "b.png": {"bird": 0.75}}
    assert tag(bird, ("a.png", 0.5)) == {"bird": 1}
    assert fields(bird) == {"a.png": {"bird": "seen"}}
    say(bird, "a.png", bird=None)
    assert fields(bird) == {"a.png": {"bird": 0.5}}
    assert bird.library.verify() == []


def test_how_a_tool_came_to_its_values_is_kept(bird, sql):
    tag(bird, ("b.png", 0.75))
    query = """SELECT about FROM statements JOIN annotations ON statement_id = statements.id
        WHERE speaker = 'tag'"""
    ((about,),) = sql(bird.library, query)
    assert json.loads(about) == ABOUT
    tag(bird)
    assert sql(bird.library, "SELECT count(*) FROM statements") == [(1,)]  # the person's


@pytest.mark.parametrize("person", [None, 1.0, 5.0])
@pytest.mark.parametrize("sidecar", [None, 1.0, 5.0])
@pytest.mark.parametrize("file", [None, 1, 5])
@pytest.mark.parametrize("tool", [None, 1.0, 5.0])
def test_filters_go_by_the_word_that_counts_most(photos, person, sidecar, file, tool):
    picture = photos.paint("a.png", "red")
    photos.paint("b.png", "green")
    photos.write("b.json", '{"rating": 3}')
    if sidecar is not None:
        photos.write("a.json", json.dumps({"rating": sidecar}))
    if file is not None:
        engrave(picture, f'xmp:Rating="{file}"')
    photos.index()
    if person is not None:
        say(photos, "a.png", rating=person)
    if tool is not None:
        (id,) = (item.id for item in photos.library.find(picture))
        left = photos.library.tag(["rating"], [(id, "rating", tool)], ABOUT, fingerprint="fa4e")
        assert left["rating"] == 1 + any(word is not None for word in (person, sidecar, file))
    word = next((value for value in (person, sidecar, file, tool) if value is not None), None)
    assert fields(photos).get("a.png") == (None if word is None else {"rating": word})
    (query,) = FakeEncoder().encode_texts(["red"])
    for test, values in (("rating>=4", [5]), ("rating!=5", [1]), ("rating=1", [1])):
        found = photos.library.search(query, 9, filters=Filters.parse(fields=[test]))
        assert ("a.png" in {item.path.name for item in found.items}) == (word in values), test


def test_null_takes_back_only_what_a_person_said(bird):
    bird.write("a.json", '{"bird": "wren"}')
    bird.index()
    assert fields(bird) == {"a.png": {"bird": "seen"}}
    report = say(bird, "a.png", bird=None)
    assert (report.matched, report.empty) == (1, 0)
    assert fields(bird) == {"a.png": {"bird": "wren"}}


def test_an_empty_cell_changes_nothing_unless_told_to_clear(bird):
    table = bird.write("t.csv", "path,bird,place\na.png,,\nb.png,tit,\ngone.png,,\n")
    assert bird.library.annotate(table).empty == 3
    assert fields(bird) == {"a.png": {"bird": "seen"}, "b.png": {"bird": "tit"}}
    assert bird.library.annotate(table, clear_empty=True).empty == 0
    assert fields(bird) == {"b.png": {"bird": "tit"}}


def test_fields_are_forgotten_by_name_path_and_speaker(bird):
    say(bird, "b.png", bird="tit", place="Rome")
    tag(bird, ("a.png", 0.5))
    assert bird.library.forget_fields(["bird"], paths=[bird.folder / "a.png"], speaker="tag") == 1
    assert bird.library.forget_fields(["bird"], paths=[bird.folder / "b.png"]) == 1
    assert fields(bird) == {"a.png": {"bird": "seen"}, "b.png": {"place": "Rome"}}
    with pytest.raises(FieldUnknown, match="'brid'"):
        bird.library.forget_fields(["place", "brid"])
    assert bird.library.forget_fields() == 2
    assert fields(bird) == {}


def test_a_lost_statement_costs_no_annotation(bird, sql):
    sql(bird.library, "DELETE FROM statements")
    bird.library.repair(FakeEncoder)
    assert bird.library.verify() == []
    assert fields(bird) == {"a.png": {"bird": "seen"}}


def test_an_item_whose_row_is_lost_gets_its_annotation_back(bird, sql):
    sql(bird.library, "DELETE FROM items WHERE id = 1")
    bird.library.repair(FakeEncoder)
    bird.rescan()
    assert fields(bird) == {"a.png": {"bird": "seen"}}


def test_no_vector_of_another_model_enters(bird):
    encoder = FakeEncoder(name="other", fingerprint="0123")
    (query,) = FakeEncoder().encode_texts(["red"])
    bird.library.search(query, 1, fingerprint="fa4e")
    with Library.open(bird.folder) as other:
        other.index([], lambda: encoder, reembed=True)
    with pytest.raises(ModelMismatch, match="uses other"):
        bird.library.search(query, 1, fingerprint="fa4e")
    with pytest.raises(ModelMismatch):
        bird.library.embeddings([1], fingerprint="fa4e")
    with pytest.raises(ModelMismatch):
        tag(bird, ("b.png", 0.5))
    assert fields(bird) == {"a.png": {"bird": "seen"}}
    assert bird.library.search(query, 1, fingerprint="0123").ids.tolist() == [1]
