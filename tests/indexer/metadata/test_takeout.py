"""Sidecars in an export of Google Photos."""

import json
from datetime import UTC, datetime

import pytest
from PIL import Image

from indexer import Filters
from indexer.content import Description
from indexer.metadata import takeout

SIDECAR = {
    "title": "a.png",
    "description": " A boat \n",
    "imageViews": "12",
    "creationTime": {"timestamp": "1563198245", "formatted": "Jul 15, 2019, 1:44:05 PM UTC"},
    "photoTakenTime": {"timestamp": "1563198005", "formatted": "Jul 15, 2019, 1:40:05 PM UTC"},
    "geoData": {
        "latitude": 59.91,
        "longitude": -10.75,
        "altitude": 3.5,
        "latitudeSpan": 0.0,
        "longitudeSpan": 0.0,
    },
    "people": [{"name": "Åse"}, {"name": " "}, {"name": "Bo"}],
    "url": "https://photos.google.com/photo/x",
    "googlePhotosOrigin": {"mobileUpload": {"deviceType": "ANDROID_PHONE"}},
    "favorited": True,
}
TAKEN = datetime(2019, 7, 15, 13, 40, 5, tzinfo=UTC)


def facts(photos, name="a.png"):
    (item,) = photos.library.find(photos.folder / name)
    return item.text, dict(item.fields), item.taken_at, item.latitude, item.longitude


@pytest.mark.parametrize(
    ("picture", "sidecar"),
    [
        ("IMG_1.jpg", "IMG_1.jpg.json"),
        ("IMG_1.jpg", "IMG_1.jpg.supplemental-metadata.json"),
        ("IMG_1(1).jpg", "IMG_1.jpg.supplemental-metadata(1).json"),
        ("IMG_1(1).jpg", "IMG_1(1).jpg.supplemental-metadata.json"),
        ("IMG_1(12).jpg", "IMG_1.jpg(12).json"),
        ("x" * 20 + ".jpg", "x" * 20 + ".jpg.supplemental-metadata.json"),
        ("x" * 21 + ".jpg", "x" * 21 + ".jpg.supplemental-metadat.json"),
        ("x" * 36 + ".jpg", "x" * 36 + ".jpg.suppl.json"),
        ("x" * 36 + "(2).jpg", "x" * 36 + ".jpg.suppl(2).json"),
        ("x" * 41 + ".jpg", "x" * 41 + ".jpg..json"),
        ("x" * 44 + ".jpg", "x" * 44 + ".j.json"),
        ("é" * 44 + ".jpg", "é" * 44 + ".j.json"),
        ("(1).jpg", "(1).jpg.supplemental-metadata.json"),
    ],
)
def test_names(picture, sidecar):
    assert f"sub (1)/{sidecar}".encode() in takeout.names(f"sub (1)/{picture}".encode())


def test_names_for_a_picture_without_a_number():
    assert list(takeout.names(b"a.jpg")) == [b"a.jpg.supplemental-metadata.json", b"a.jpg.json"]
    assert list(takeout.names(b"\xff.jpg"))[1] == b"\xff.jpg.json"


def test_a_picture_without_metadata_takes_it_from_its_sidecar(photos, must_not_load):
    photos.paint("a.png", "red")
    sidecar = photos.write("a.png.supplemental-metadata.json", json.dumps(SIDECAR))
    photos.index()
    fields = {"people": ("Åse", "Bo"), "favorited": 1.0}
    assert facts(photos) == ("A boat", fields, TAKEN, 59.91, -10.75)

    sidecar.write_text(json.dumps({**SIDECAR, "photoTakenTime": {"timestamp": "-1"}, "people": []}))
    assert photos.library.index([], must_not_load).updated == 1
    assert facts(photos)[1:3] == (
        {"favorited": 1.0},
        datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    )
    (photos.folder / "a.png").rename(photos.folder / "z.png")
    assert photos.library.index([], must_not_load).moved == 1
    assert facts(photos, "z.png") == (None, {}, None, None, None)


def test_what_a_removed_sidecar_said_is_removed(photos):
    photos.paint("a.png", "red")
    sidecar = photos.write("a.png.json", json.dumps(SIDECAR))
    photos.index()
    sidecar.unlink()
    assert photos.rescan() == {"updated": 1}
    assert facts(photos) == (None, {}, None, None, None)


def test_time_and_place_of_the_picture_itself_stay(photos):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2001:02:03 04:05:06"
    exif.get_ifd(0x8825).update({1: "S", 2: (1.0, 30.0, 0.0), 3: "W", 4: (2.0, 15.0, 0.0)})
    Image.new("RGB", (4, 4), "red").save(photos.folder / "a.jpg", exif=exif)
    sidecar = photos.write("a.jpg.json", json.dumps(SIDECAR))
    photos.index()
    own = (datetime(2001, 2, 3, 4, 5, 6), -1.5, -2.25)
    assert (facts(photos, "a.jpg")[0], facts(photos, "a.jpg")[2:]) == ("A boat", own)
    sidecar.unlink()
    assert photos.rescan() == {"updated": 1}
    assert facts(photos, "a.jpg") == (None, {}, *own)


def test_time_and_place_may_come_from_picture_and_sidecar(photos):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2001:02:03 04:05:06"
    Image.new("RGB", (4, 4), "red").save(photos.folder / "a.jpg", exif=exif)
    photos.write("a.jpg.json", json.dumps(SIDECAR))
    photos.index()
    assert facts(photos, "a.jpg")[2:] == (datetime(2001, 2, 3, 4, 5, 6), 59.91, -10.75)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"description": "", "geoData": {"latitude": 0.0, "longitude": 0.0}, "people": []},
        {"description": 5, "geoData": None, "people": {"name": "x"}, "favorited": None},
        {"geoData": {"latitude": 91.0, "longitude": 1.0}, "people": ["x", {"name": ["y"]}]},
        {"geoData": {"latitude": 1.0, "longitude": -181.0}, "people": [{}]},
        {"geoData": {"latitude": "1", "longitude": 1.0}, "description": "\ud800"},
        {"photoTakenTime": {"timestamp": "1e300"}},
        {"photoTakenTime": {"timestamp": True}},
    ],
)
def test_empty_and_malformed_values_are_ignored(values):
    assert takeout.description({"photoTakenTime": {"timestamp": ""}, **values}) == Description()


def test_an_ordinary_sidecar_is_not_read_as_takeout(photos):
    photos.paint("a.png", "red")
    photos.write("a.png.json", json.dumps({**SIDECAR, "photoTakenTime": "1563198005"}))
    photos.index()
    fields = {
        "title": "a.png",
        "description": "A boat",
        "imageViews": "12",
        "photoTakenTime": "1563198005",
        "url": "https://photos.google.com/photo/x",
        "favorited": 1.0,
    }
    assert facts(photos) == (None, fields, None, None, None)


def test_a_damaged_sidecar_is_logged_and_ignored(photos, caplog):
    photos.paint("a.png", "red")
    sidecar = photos.write("a.png.supplemental-metadata.json", json.dumps(SIDECAR)[:-5])
    assert photos.index() == {"added": 1, "embedded": 1}
    assert caplog.messages == [f"ignored the sidecar {sidecar}: it is not a JSON object"]
    assert facts(photos) == (None, {}, None, None, None)


@pytest.mark.parametrize(
    ("picture", "original"),
    [
        ("IMG_1-edited.jpg", "IMG_1.jpg"),
        ("IMG_1-EDITED.JPG", "IMG_1.JPG"),
        ("IMG_1-edited(2).jpg", "IMG_1(2).jpg"),
        ("IMG_1-bearbeitet.jpg", "IMG_1.jpg"),
        ("IMG_1-modifié.jpg", "IMG_1.jpg"),
        ("IMG_1-modifie\u0301.jpg", "IMG_1.jpg"),
        ("IMG_1-ha editado.jpg", "IMG_1.jpg"),
        ("IMG_1-編集済み.jpg", "IMG_1.jpg"),
        ("a-b-edited.heic", "a-b.heic"),
    ],
)
def test_an_edited_copy_takes_what_is_said_of_its_original(picture, original):
    assert list(takeout.originals(picture)) == [original]
    assert set(takeout.names(original.encode())) <= set(takeout.names(picture.encode()))
    assert takeout.is_of({"title": original}, picture.encode())


@pytest.mark.parametrize("picture", ["IMG_1.jpg", "edited.jpg", "-edited.jpg", "a-editedly.jpg"])
def test_what_is_no_edited_copy(picture):
    assert list(takeout.originals(picture)) == []


def said(**values):
    return json.dumps(SIDECAR | values)


def test_edited_copies_and_their_originals(photos):
    for name in ("a.png", "a-edited.png", "a-bearbeitet(1).png", "b-edited.png"):
        photos.paint(name, (len(name), 0, 0))
    photos.write("a.png.json", said(description="one"))
    photos.write("a.png(1).json", said(description="two"))
    photos.write("b-edited.png.json", said(description="its own"))
    photos.write("b.png.json", said(description="of the original"))
    photos.index()
    captions = ("a.png", "a-edited.png", "a-bearbeitet(1).png", "b-edited.png")
    assert [facts(photos, name)[0] for name in captions] == ["one", "one", "two", "its own"]


def test_names_that_differ_in_case_or_accents(photos, must_not_load):
    photos.paint("IMG_1.PNG", "red")
    photos.paint("café.png", "green")
    photos.write("img_1.png.Supplemental-Metadata.JSON", said(description="one"))
    photos.write("cafe\u0301.png.json", said(description="two"))
    photos.index()
    assert facts(photos, "IMG_1.PNG")[0] == "one"
    assert facts(photos, "café.png")[0] == "two"
    photos.library.index([photos.folder / "IMG_1.PNG"], must_not_load)
    assert facts(photos, "IMG_1.PNG")[0] == "one"


def test_of_two_candidates_the_title_decides(photos):
    """Names are cut, so those of long names that begin alike differ in a number alone."""
    first, second = ("x" * 50 + f" {n}.png" for n in (1, 2))
    for name in (first, second):
        photos.paint(name, (len(name), name == first, 0))
    photos.write("x" * 46 + ".json", said(description="two", title=second))
    photos.write("x" * 46 + "(1).json", said(description="one", title=first.upper()))
    photos.index()
    assert [facts(photos, name)[0] for name in (first, second)] == ["one", "two"]


def test_each_person_can_be_found(photos):
    photos.paint("a.png", "red")
    photos.paint("b.png", "green")
    photos.write("a.png.json", said(people=[{"name": "Ann"}, {"name": "Bob"}, {"name": "Ann"}]))
    photos.write("b.png.json", said(people=[{"name": "Bob"}]))
    photos.index()
    assert facts(photos)[1]["people"] == ("Ann", "Bob")
    assert facts(photos, "b.png")[1]["people"] == "Bob"

    def found(test):
        filters = Filters.parse(fields=[test])
        items = photos.library.items(photos.nearest("red", 9, filters=filters))
        return sorted(item.path.name for item in items)

    assert found("people=Ann") == ["a.png"]
    assert found("people=Bob") == ["a.png", "b.png"]
    assert found("people!=Ann") == ["b.png"]
    assert found("people=Ann, Bob") == []


def test_the_place_that_the_camera_knew_counts_where_the_user_gave_none(photos):
    photos.paint("a.png", "red")
    nowhere = {"latitude": 0.0, "longitude": 0.0}
    photos.write("a.png.json", said(geoData=nowhere, geoDataExif=SIDECAR["geoData"]))
    photos.index()
    assert facts(photos)[3:] == (59.91, -10.75)
