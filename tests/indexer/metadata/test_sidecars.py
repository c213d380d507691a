"""Captions and fields from sidecars."""

import json
import os

import pytest
from PIL import Image

from indexer import Filters, Library


@pytest.fixture
def description(photos):
    """Caption and fields of a picture."""

    def look(name="a.png"):
        (item,) = photos.library.find(photos.folder / name)
        return item.text, dict(item.fields)

    return look


def test_caption_and_fields_are_those_of_the_sidecars(photos, description):
    photos.paint("a.png", "red")
    photos.write("a.txt", "\ufeff  A boat,\nat noon \n")
    photos.write(
        "a.json",
        json.dumps(
            {
                "caption": "not this one",
                "text": "nor this",
                " stars ": 5,
                "score": 0.25,
                "place": " Åland ",
                "public": True,
                "draft": False,
                "nothing": None,
                "blank": " ",
                "": 1,
                "nested": {"a": 1},
                "list": ["a", 1, True, " ", None, "a", {}],
                "one": [5],
                "none": [],
                "half \ud800": 1,
                "half": "\ud800",
                "huge": 10**400,
                "endless": float("inf"),
            }
        ),
    )
    assert photos.index() == {"added": 1, "embedded": 1}
    assert description() == (
        "A boat,\nat noon",
        {
            "draft": False,
            "huge": 10**400,
            "list": ("a", 1, True),
            "one": 5.0,
            "place": "Åland",
            "public": 1.0,
            "score": 0.25,
            "stars": 5.0,
        },
    )
    assert photos.nearest("red") == photos.ids("a.png")
    assert photos.nearest("red", kind="text") == []


@pytest.mark.parametrize(
    ("values", "caption"),
    [
        ({"caption": "one", "text": "two"}, "one"),
        ({"caption": " ", "text": "two "}, "two"),
        ({"text": "two"}, "two"),
        ({"caption": 5, "text": ["x"]}, None),
        ({}, None),
    ],
)
def test_a_json_caption_is_used_without_a_text_file(photos, description, values, caption):
    photos.paint("a.png", "red")
    photos.write("a.json", json.dumps(values))
    photos.index()
    assert description() == (caption, {})
    photos.write("a.txt", "\n")
    assert photos.rescan() == {"updated": 1}
    assert description() == (caption, {})


def test_the_whole_name_comes_first_for_each_ending(photos, description):
    photos.paint("a.png", "red")
    photos.paint("a.jpg", "red")
    photos.write("a.txt", "short")
    photos.write("a.json", '{"of": "short", "only": 1}')
    photos.write("a.png.json", '{"of": "whole"}')
    photos.index()
    assert description() == ("short", {"of": "whole"})
    assert description("a.jpg") == ("short", {"of": "short", "only": 1.0})
    photos.write("a.png.txt", "whole")
    assert photos.rescan() == {"updated": 1, "unchanged": 1}
    assert description() == ("whole", {"of": "whole"})
    assert description("a.jpg")[0] == "short"


def test_new_changed_and_removed_sidecars_rewrite_only_the_text(
    photos, description, must_not_load, monkeypatch, sql
):
    picture = photos.paint("sub/a.png", "red")
    photos.paint("b.png", "green")
    photos.index()
    before = sql(photos.library, "SELECT * FROM changes")
    monkeypatch.setattr("indexer.indexing.reading._picture", None)  # not even decoded

    def run():
        report = photos.library.index([], must_not_load)
        assert (report.embedded, report.added, report.changed, report.deleted) == (0, 0, 0, 0)
        return report.updated, report.unchanged

    assert run() == (0, 2)
    text = photos.write("sub/a.txt", "one")
    assert run() == (1, 1)
    assert description("sub/a.png") == ("one", {})
    assert run() == (0, 2)
    fields = photos.write("sub/a.json", '{"a": 1, "b": "x"}')
    text.write_text("three")
    assert run() == (1, 1)
    assert description("sub/a.png") == ("three", {"a": 1.0, "b": "x"})
    fields.write_text('{"b": 2}')
    photos.touch(fields)
    assert run() == (1, 1)
    assert description("sub/a.png") == ("three", {"b": 2.0})
    text.unlink()
    assert run() == (1, 1)
    assert description("sub/a.png") == (None, {"b": 2.0})
    fields.unlink()
    assert run() == (1, 1)
    assert description("sub/a.png") == (None, {})
    assert run() == (0, 2)
    photos.touch(picture)
    assert run() == (0, 2)
    assert sql(photos.library, "SELECT * FROM changes") == before


def test_sidecars_follow_a_move_or_stay_behind(photos, description, must_not_load):
    picture = photos.paint("a.png", "red")
    text = photos.write("a.txt", "one")
    photos.write("a.json", '{"b": 2}')
    photos.index()
    (id,) = photos.ids("a.png")
    text.rename(photos.folder / "z.txt")
    picture.rename(photos.folder / "z.png")
    report = photos.library.index([], must_not_load)
    assert (report.moved, report.updated, report.unchanged) == (1, 0, 0)
    assert photos.ids("z.png") == [id]
    assert description("z.png") == ("one", {})


def test_copies_have_their_own(photos, description):
    photos.paint("a.png", "red")
    photos.paint("b.png", "red")
    photos.write("a.txt", "one")
    photos.write("b.txt", "two")
    assert photos.index() == {"added": 1, "copied": 1, "embedded": 1}
    assert (description("a.png")[0], description("b.png")[0]) == ("one", "two")


def test_changed_picture_and_sidecar_at_once(photos, description):
    photos.paint("a.png", "red")
    photos.write("a.txt", "one")
    photos.index()
    photos.touch(photos.paint("a.png", "green"))
    photos.write("a.txt", "other")
    assert photos.rescan() == {"changed": 1, "embedded": 1}
    assert description() == ("other", {})


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.txt", b"caf\xe9", "not UTF-8 at byte 3"),
        ("a.json", b"{", "it is not a JSON object"),
        ("a.json", b"[" * 100_000, "it is not a JSON object"),
        ("a.json", b'["a"]', "it is not a JSON object"),
        ("a.json", b'{"n": 1, "m": 2, "n": 3}', "it has the name 'n' more than once"),
        ("a.txt", b"x" * (1 << 20) + b"y", "larger than the limit of 1,048,576 bytes"),
    ],
)
def test_an_unreadable_sidecar_is_logged_and_ignored(
    photos, description, caplog, name, data, reason
):
    photos.paint("a.png", "red")
    photos.write(name, data)
    other = photos.write("a.json" if name == "a.txt" else "a.txt", '{"text": "fine"}')
    assert photos.index() == {"added": 1, "embedded": 1}
    assert caplog.messages == [f"ignored the sidecar {photos.folder / name}: {reason}"]
    assert description()[0] == ("fine" if other.suffix == ".json" else '{"text": "fine"}')
    assert photos.rescan() == {"unchanged": 1}
    assert photos.library.failures() == []


def test_a_sidecar_that_may_not_be_opened(photos, description, caplog, monkeypatch):
    photos.paint("a.png", "red")
    path = os.fsencode(photos.write("a.txt", "x"))
    real = open

    def refuse(name, *rest, **options):
        if name == path:
            raise PermissionError(13, "Permission denied")
        return real(name, *rest, **options)

    monkeypatch.setattr("builtins.open", refuse)
    assert photos.index() == {"added": 1, "embedded": 1}
    assert caplog.messages == [f"ignored the sidecar {os.fsdecode(path)}: Permission denied"]
    assert description() == (None, {})


def test_files_that_are_no_sidecars(photos, description, tmp_path):
    photos.paint("a.png", "red")
    (photos.folder / "a.txt").mkdir()
    target = tmp_path / "elsewhere.json"
    target.write_text('{"a": 1}')
    (photos.folder / "a.json").symlink_to(target)
    photos.write(".a.txt", "hidden")
    photos.write("b.txt", "of no picture")
    assert photos.index() == {"added": 1, "embedded": 1}
    assert description() == (None, {})


def test_pictures_without_sidecars_cost_no_extra_look_at_the_disk(photos, monkeypatch):
    for n in range(3):
        photos.paint(f"{n}.png", (n, 0, 0))
    photos.index()
    looked = []
    real = os.lstat
    monkeypatch.setattr("os.lstat", lambda path: looked.append(path) or real(path))
    photos.library.index([], None)
    assert [path for path in looked if os.fsencode(path).endswith((b".txt", b".json"))] == []


def test_a_picture_that_was_named_has_sidecars_too(photos, description, tmp_path, must_not_load):
    hidden = photos.paint(".hidden.png", "red")
    photos.write(".hidden.txt", "one")
    apart = photos.paint("../other/b.png", "green").resolve()
    photos.write("../other/b.txt", "two")
    assert photos.index(hidden, apart) == {"added": 2, "embedded": 2}
    assert (description(".hidden.png")[0], description("../other/b.png")[0]) == ("one", "two")
    assert photos.library.index([], must_not_load).unchanged == 2
    photos.write("../other/b.txt", "three")
    report = photos.library.index([], must_not_load)
    assert (report.updated, report.unchanged) == (1, 1)
    assert description("../other/b.png")[0] == "three"


def test_an_excluded_sidecar_is_ignored_for_a_picture_that_was_named(photos, description):
    picture = photos.paint("a.png", "red")
    photos.write("a.txt", "one")
    photos.index(exclude=["*.txt"])
    assert description() == (None, {})
    assert photos.index(picture) == {"unchanged": 1}
    assert description() == (None, {})


def test_a_file_of_texts_may_be_a_sidecar_as_well(photos, description):
    photos.paint("a.png", "red")
    texts = photos.write("a.txt", "green\nblue")
    assert photos.index(photos.folder, texts) == {"added": 3, "embedded": 3}
    assert description() == ("green\nblue", {})
    assert [item.text for item in photos.library.find(texts)] == ["green", "blue"]
    texts.write_text("green\nred\n")
    assert photos.rescan() == {"changed": 1, "unchanged": 1, "updated": 1, "embedded": 1}
    assert description() == ("green\nred", {})


def test_a_broken_picture_is_not_tried_again_for_its_sidecar(photos):
    photos.write("a.png", b"no picture")
    photos.write("a.txt", "one")
    assert photos.index() == {"failed": 1}
    assert photos.rescan() == {}


def test_names_in_any_bytes_and_a_library_that_moved(photos, tmp_path, must_not_load):
    picture = photos.paint(b"caf\xe9.png", "red")
    with open(os.fsencode(photos.folder) + b"/caf\xe9.txt", "w") as file:
        file.write("one")
    photos.index()
    assert photos.library.find(picture)[0].text == "one"
    photos.library.close()
    photos.folder.rename(tmp_path / "moved")
    with Library.open(tmp_path / "moved") as moved:
        assert moved.index([], must_not_load).unchanged == 1
        assert moved.items([1])[0].text == "one"


def test_metadata_from_exif_is_kept(photos):
    exif = Image.Exif()
    exif[271], exif[272] = "Canon", "EOS"
    exif.get_ifd(0x8769)[0xA434] = "50mm"
    exif.get_ifd(0x8825).update({1: "S", 2: (1.0, 30.0, 0.0), 3: "W", 4: (2.0, 15.0, 0.0)})
    path = photos.folder / "a.jpg"
    Image.new("RGB", (4, 4), "red").save(path, exif=exif)
    photos.index()
    (item,) = photos.library.find(path)
    assert (item.camera, item.lens, item.latitude, item.longitude, item.bytes) == (
        "Canon EOS",
        "50mm",
        -1.5,
        -2.25,
        path.stat().st_size,
    )


XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:exif="http://ns.adobe.com/exif/1.0/">
 <rdf:Description xmp:Rating="4" exif:DateTimeOriginal="2020-02-03T04:05:06+01:00"
  exif:GPSLatitude="59,54.6N" exif:GPSLongitude="10,45,36E">
  <dc:title><rdf:Alt><rdf:li xml:lang="x-default">Harbour</rdf:li></rdf:Alt></dc:title>
  <dc:description><rdf:Alt><rdf:li>A boat</rdf:li></rdf:Alt></dc:description>
  <dc:subject><rdf:Bag><rdf:li>boat</rdf:li><rdf:li>sea</rdf:li></rdf:Bag></dc:subject>
 </rdf:Description></rdf:RDF></x:xmpmeta>"""


@pytest.mark.parametrize("name", ["a.png.xmp", "a.xmp", "A.XMP", "a.PNG.Xmp"])
def test_xmp_beside_a_picture(photos, description, name):
    photos.paint("a.png", "red")
    sidecar = photos.write(name, XMP)
    photos.index()
    assert description() == ("A boat", {"rating": 4.0, "tags": ("boat", "sea"), "title": "Harbour"})
    (item,) = photos.library.find(photos.folder / "a.png")
    assert item.taken_at.isoformat() == "2020-02-03T04:05:06+01:00"
    assert (item.latitude, item.longitude) == pytest.approx((59.91, 10.76))
    found = photos.nearest("red", filters=Filters.parse(fields=["tags=sea", "rating>=4"]))
    assert found == photos.ids("a.png")
    sidecar.unlink()
    assert photos.rescan() == {"updated": 1}
    assert description() == (None, {})


def test_text_and_json_come_before_xmp(photos, description):
    photos.paint("a.png", "red")
    photos.write("a.xmp", XMP)
    photos.write("A.TXT", "A ship")
    photos.write("a.Json", json.dumps({"rating": 1, "stars": 2}))
    photos.index()
    fields = {"rating": 1.0, "stars": 2.0, "tags": ("boat", "sea"), "title": "Harbour"}
    assert description() == ("A ship", fields)


def test_broken_xmp_is_ignored_and_said(photos, description, caplog):
    photos.paint("a.png", "red")
    photos.write("a.xmp", "<x>")
    photos.index()
    assert description() == (None, {})
    assert "a.xmp: not XML" in caplog.text


def test_the_exact_name_comes_before_one_in_another_case(photos, description):
    photos.paint("a.png", "red")
    photos.write("A.txt", "another")
    photos.write("a.txt", "the one")
    photos.index()
    assert description()[0] == "the one"
