"""One model for each library, and the change from one model to another."""

import numpy as np
import pytest

from encoder.fake import FakeEncoder
from indexer import Model, ModelMismatch


class Other(FakeEncoder):
    """Another model: it embeds the opposite of `FakeEncoder`, in 5 dimensions."""

    dim = 5

    def __init__(self, fail_at=0):
        super().__init__("other", "07e4" * 16)
        self.fail_at = fail_at
        self.batches = []

    def _embed(self, colours):
        self.batches.append(len(colours))
        if len(self.batches) == self.fail_at:
            raise KeyboardInterrupt
        rows = np.zeros((len(colours), 5))
        rows[:, :3] = 1 - np.array(colours).reshape(-1, 3) / 255
        rows[:, 4] = 1
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


OLD = Model("fake", "fa4e", 4)
NEW = Model("other", "07e4" * 16, 5)


def test_the_first_run_records_the_model(photos):
    assert photos.library.model is None
    photos.paint("a.png", "red")
    photos.index()
    assert photos.library.model == OLD


def test_another_model_is_refused_with_the_remedy(photos):
    photos.paint("a.png", "red")
    photos.index()
    photos.paint("b.png", "blue")
    with pytest.raises(ModelMismatch) as caught:
        photos.index(encoder=Other())
    assert str(caught.value) == (
        "this library was made with fake (fa4e), not with other (07e407e407e4); use fake, or embed"
        " everything again with `align index --reembed --model other`"
    )
    assert photos.library.status().counts == {"image": 1, "text": 0}
    assert photos.index(encoder=FakeEncoder("renamed")) == {
        "added": 1,
        "unchanged": 1,
        "embedded": 1,
    }
    assert photos.library.model == OLD


def fill(photos):
    for n, colour in enumerate(("red", "green", "blue", "yellow", "red")):
        photos.paint(f"{n}.png", colour)
    caption = photos.write("c.txt", "red\ngreen")
    photos.index(photos.folder, caption)


def test_reembedding_keeps_ids_and_drops_the_old_vectors(photos, sql):
    fill(photos)
    encoder = Other()
    assert photos.rescan(encoder=encoder, reembed=True) == {"reembedded": 7, "embedded": 6}
    assert photos.library.model == NEW
    vectors = np.stack([Other().encode_texts(["green"])[0]])
    found = photos.library.search(vectors[0], 9)
    assert found.ids.tolist()[0] == photos.ids("1.png")[0]
    assert sorted(found.ids) == photos.ids("0.png", "1.png", "2.png", "3.png", "4.png")
    assert photos.library.items([2])[0].path == photos.folder / "1.png"
    assert sql(photos.library, "SELECT name FROM models") == [("other",)]
    assert sql(photos.library, "SELECT DISTINCT length(vector) FROM embeddings") == [(10,)]
    assert sql(photos.library, "SELECT count(*), count(DISTINCT model_id) FROM generations") == [
        (2, 1)
    ]
    assert photos.rescan(encoder=Other(), reembed=True) == {"unchanged": 7}


def test_interrupted_reembedding_searches_with_the_old_model_and_goes_on(photos):
    fill(photos)
    before = photos.nearest("green", 9)
    with pytest.raises(KeyboardInterrupt):
        photos.rescan(encoder=Other(fail_at=3), reembed=True, batch_size=2)
    assert photos.library.model == OLD
    assert photos.nearest("green", 9) == before
    encoder = Other()
    report = photos.rescan(encoder=encoder, reembed=True, batch_size=2)
    assert (sum(encoder.batches), report["reembedded"], report["unchanged"]) == (2, 3, 4)
    assert photos.library.model == NEW


def test_changes_on_disk_are_followed_while_reembedding(photos):
    fill(photos)
    (photos.folder / "1.png").rename(photos.folder / "moved.png")
    (photos.folder / "2.png").unlink()
    photos.paint("new.png", "white")
    photos.write("c.txt", "blue\nred")
    photos.touch(photos.folder / "c.txt")
    assert photos.rescan(encoder=Other(), reembed=True) == {
        "added": 1,
        "changed": 1,
        "moved": 1,
        "deleted": 1,
        "reembedded": 4,
        "embedded": 6,
    }
    found = photos.library.search(Other().encode_texts(["green"])[0], 9)
    assert sorted(found.ids) == sorted(
        photos.ids("0.png", "3.png", "4.png", "moved.png", "new.png")
    )
    assert photos.ids("moved.png") == [2]
    assert found.ids[0] == 2


def test_giving_up_on_reembedding_leaves_a_whole_library_of_the_old_model(photos):
    """A picture that was added meanwhile has no vector of the old model until a run with it."""
    fill(photos)
    photos.paint("00new.png", "white")
    with pytest.raises(KeyboardInterrupt):
        photos.rescan(encoder=Other(fail_at=3), reembed=True, batch_size=2)
    assert photos.ids("00new.png")[0] not in photos.nearest("white", 9)
    # This generation lacks the new picture, although the number of the picture in the log is lower.
    photos.paint("sub/a.png", "black")
    photos.index(photos.folder / "sub")
    assert photos.rescan() == {
        "reembedded": 1,
        "unchanged": 8,
        "embedded": 1,
        "given_up": ("other",),
    }
    assert photos.nearest("white", 9)[0] == photos.ids("00new.png")[0]
    assert len(photos.nearest("white", 9)) == 7
    assert [(g.kind, g.count, g.delta) for g in photos.library.status().generations] == [
        ("image", 7, 0),
        ("text", 2, 0),
    ]


def test_reembedding_an_empty_library_only_chooses_the_model(photos):
    assert photos.rescan(encoder=Other(), reembed=True) == {}
    assert photos.library.model == NEW


def test_a_move_next_to_a_copy_keeps_both_ids_while_reembedding(photos):
    """The copy did not move, so it must not take the item of the file that is gone."""
    photos.paint("a.png", "red")
    photos.paint("b.png", "red")
    photos.index()
    (photos.folder / "b.png").rename(photos.folder / "c.png")
    assert photos.rescan(encoder=Other(), reembed=True) == {
        "reembedded": 1,
        "moved": 1,
        "embedded": 1,
    }
    assert photos.ids("a.png", "c.png") == [1, 2]


def test_a_copy_that_an_interrupted_run_added_keeps_its_id_next_to_a_move(photos):
    photos.paint("a.png", "red")
    photos.index()
    photos.paint("b.png", "red")
    photos.paint("c.png", "blue")
    with pytest.raises(KeyboardInterrupt):
        photos.rescan(encoder=Other(fail_at=2), reembed=True, batch_size=2)
    assert photos.ids("a.png", "b.png") == [1, 2]
    (photos.folder / "a.png").rename(photos.folder / "z.png")
    photos.rescan()
    assert photos.ids("b.png", "z.png") == [2, 1]
    assert photos.nearest("red", 9) == [1, 2, 3]


def test_equal_texts_that_moved_keep_their_ids_after_an_interruption(photos):
    """The run is interrupted in the middle of the first file; the rest of that file must not take
    the items of the other."""
    paths = [photos.write(name, "red\ngreen\nblue") for name in ("a.txt", "b.txt")]
    photos.index(*paths)
    moved = [path.rename(path.with_name(f"moved {path.name}")) for path in paths]
    with pytest.raises(KeyboardInterrupt):
        photos.index(photos.folder, *moved, encoder=Other(fail_at=2), reembed=True, batch_size=1)
    photos.index(photos.folder, *moved, encoder=Other(), reembed=True, batch_size=1)
    assert [photos.ids(path.name) for path in moved] == [[1, 2, 3], [4, 5, 6]]


def test_what_was_begun_and_given_up_is_dropped(photos, sql):
    fill(photos)
    with pytest.raises(KeyboardInterrupt):
        photos.rescan(encoder=Other(fail_at=3), reembed=True, batch_size=2)
    begun = (
        "SELECT count(*) FROM embeddings JOIN models ON models.id = model_id WHERE name = 'other'"
    )
    photos.index(photos.folder / "0.png")  # a run over a part gives up nothing
    assert sql(photos.library, begun) == [(4,)]
    assert photos.rescan() == {"unchanged": 7, "given_up": ("other",)}
    assert sql(photos.library, begun) == [(0,)]
    assert photos.rescan() == {"unchanged": 7}
    assert photos.library.verify() == []


def test_a_lost_embedding_is_noticed_while_everything_is_embedded_again(photos, sql):
    fill(photos)
    with pytest.raises(KeyboardInterrupt):
        photos.rescan(encoder=Other(fail_at=3), reembed=True, batch_size=2)
    # The first has the other model's embedding left, the fifth has none.
    sql(photos.library, "DELETE FROM embeddings WHERE model_id = 1 AND item_id IN (1, 5)")
    found = {(f.what, f.ids) for f in photos.library.verify()}
    assert found == {("embedding", (1,)), ("embedding", (5,))}
    assert "2 embeddings" in " ".join(photos.library.repair(FakeEncoder).lost)
    photos.rescan()
    assert photos.library.verify() == []
    assert len(photos.nearest("red", 9)) == 5


def test_another_model_is_refused_though_nothing_is_new(photos):
    fill(photos)
    with pytest.raises(ModelMismatch, match="made with fake"):
        photos.rescan(encoder=Other(), require_model=True)


@pytest.mark.parametrize("captions", [["red"], []])
def test_no_index_is_measured_with_another_model(photos, captions):
    for n in range(64):
        photos.paint(f"{n}.png", (4 * n, 0, 0))
    photos.index()
    with pytest.raises(ModelMismatch, match="uses fake"):
        photos.library.rebuild(Other, layout="ivf", captions=captions)


def test_the_library_remembers_where_its_model_is_now(photos):
    fill(photos)
    assert photos.rescan(encoder=FakeEncoder("moved"), require_model=True) == {"unchanged": 7}
    assert photos.library.model == Model("moved", "fa4e", 4)
    assert photos.library.verify() == []


class Renumbered(FakeEncoder):
    """The same model, whose fingerprint a newer version finds by another rule."""

    def __init__(self) -> None:
        super().__init__("fake", "ne3")

    def is_known_as(self, fingerprint):
        return fingerprint in ("ne3", "fa4e")


@pytest.mark.parametrize("reembed", [False, True])
def test_an_earlier_fingerprint_of_the_same_model_is_renewed(photos, sql, reembed):
    photos.paint("a.png", "red")
    photos.index()
    photos.paint("b.png", "blue")
    done = photos.index(encoder=Renumbered(), reembed=reembed)
    assert done["added"] == 1
    assert done["embedded"] == 1
    assert photos.library.model == Model("fake", "ne3", 4)
    assert sql(photos.library, "SELECT fingerprint FROM models") == [("ne3",)]
    photos.library.verify()
    photos.paint("c.png", "green")
    with pytest.raises(ModelMismatch):
        photos.index()


def test_an_earlier_fingerprint_is_renewed_when_only_the_index_is_made_anew(photos):
    for n in range(70):
        photos.paint(f"{n}.png", (n, 2 * n, 255 - n))
    photos.index()
    photos.library.rebuild(Renumbered, layout="ivf")
    assert photos.library.model == Model("fake", "ne3", 4)
