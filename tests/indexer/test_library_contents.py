"""What a library says about the contents of its items."""

import numpy as np

from encoder.fake import FakeEncoder
from indexer import Library


def test_embeddings_come_in_the_order_of_the_ids(photos):
    for name in ("red", "green", "blue"):
        photos.paint(f"{name}.png", name)
    photos.index()
    red, green, blue = photos.ids("red.png", "green.png", "blue.png")
    rows = photos.library.embeddings([blue, 99, red, green, blue])
    expected = FakeEncoder().encode_texts(["blue", "red", "green", "blue"])
    np.testing.assert_array_equal(rows[[0, 2, 3, 4]], expected.astype(np.float16))
    assert rows[1].tolist() == [0, 0, 0, 0]
    assert (rows.shape, rows.dtype) == ((5, 4), np.float32)


def test_embeddings_of_deleted_items_are_zeros(photos):
    photos.paint("a.png", "red")
    photos.paint("b.png", "blue")
    photos.index()
    (gone,) = photos.ids("a.png")
    (photos.folder / "a.png").unlink()
    photos.rescan()
    assert photos.library.embeddings([gone]).tolist() == [[0, 0, 0, 0]]
    assert photos.library.embeddings([]).shape == (0, 4)


def test_a_library_without_a_model_has_no_contents(tmp_path):
    with Library.create(tmp_path) as library:
        assert library.embeddings([1]).shape == (1, 0)
        assert library.distinct("image").tolist() == []
        assert library.copies("image") == []


def test_copies_are_of_one_kind_and_live(photos):
    for name in ("a", "b", "c"):
        photos.paint(f"{name}.png", "red", size=(3, 3))
    photos.paint("d.png", "red", size=(4, 4))
    photos.index(photos.folder, photos.write("t.txt", "red\nblue\nred"))
    a, b, c, d = photos.ids("a.png", "b.png", "c.png", "d.png")
    first, second, third = photos.ids("t.txt")
    assert photos.library.copies("image") == [sorted([a, b, c])]
    assert photos.library.copies("text") == [[first, third]]
    assert photos.library.distinct("image").tolist() == sorted([min(a, b, c), d])
    assert photos.library.distinct("text").tolist() == [first, second]
    for name in ("b", "c"):
        (photos.folder / f"{name}.png").unlink()
    photos.rescan()
    assert photos.library.copies("image") == []
    assert photos.library.distinct("image").tolist() == sorted([a, d])
