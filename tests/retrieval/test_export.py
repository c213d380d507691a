"""What other programs get: embeddings, metadata, fields."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from encoder import AlignError, FakeEncoder
from retrieval import Engine
from retrieval.cli import main
from retrieval.export import export, export_fields


def test_embeddings_are_an_array_by_ascending_id(engine: Engine, folder: Path) -> None:
    assert engine.export(folder / "emb.npy") == 3
    found = np.load(folder / "emb.npy")
    files = [item.path for item in engine.items()]
    assert (found.dtype, found.shape) == (np.float16, (3, 4))
    assert np.allclose(found, FakeEncoder().encode_images(files), atol=1e-3)
    assert export(engine.library, folder / "texts.npy", kind="text") == 3
    assert np.load(folder / "texts.npy").shape == (3, 4)


def test_a_table_has_metadata_and_embeddings(engine: Engine, folder: Path) -> None:
    (folder / "red.json").write_text('{"mood": "calm", "n": 5}')
    engine.index()
    engine.export(folder / "all.parquet")
    table = parquet.read_table(folder / "all.parquet").to_pylist()
    by_name = {Path(row["path"]).name: row for row in table}
    red = by_name["red.png"]
    assert (red["width"], red["format"], red["kind"]) == (12, "PNG", "image")
    assert json.loads(red["fields"]) == {"mood": "calm", "n": 5}
    expected = FakeEncoder().encode_images([folder / "red.png"])[0]
    assert np.allclose(red["embedding"], expected, atol=1e-3)


def test_json_lines(engine: Engine, folder: Path) -> None:
    engine.export(folder / "all.jsonl")
    lines = [json.loads(line) for line in (folder / "all.jsonl").read_text().splitlines()]
    assert [line["path"] for line in lines] == [str(item.path) for item in engine.items()]
    assert lines[0]["sha256"] == next(engine.items()).digest.hex()


def test_the_layout_of_clip_retrieval(engine: Engine, folder: Path) -> None:
    engine.export(folder / "out")
    images = np.load(folder / "out/img_emb/img_emb_0.npy")
    texts = np.load(folder / "out/text_emb/text_emb_0.npy")
    table = parquet.read_table(folder / "out/metadata/metadata_0.parquet").to_pylist()
    assert images.shape == texts.shape == (3, 4)
    files = [row["image_path"] for row in table]
    assert np.allclose(images, FakeEncoder().encode_images(files), atol=1e-3)
    assert {"caption", "width", "height"} <= table[0].keys()


def test_fields_can_be_read_back(engine: Engine, folder: Path) -> None:
    (folder / "t.jsonl").write_text(
        json.dumps({"path": "red.png", "n": 2**70, "ok": True, "who": ["Ann", "Bob"]})
        + "\n"
        + json.dumps({"path": "captions.txt", "when": "2024-01-01"})
    )
    engine.library.annotate(folder / "t.jsonl")
    before = [dict(item.fields) for item in (*engine.items(), *engine.items(kind="text"))]
    assert export_fields(engine.library, folder / "fields.jsonl") == 4
    engine.library.forget_fields()
    assert not any(item.fields for item in engine.items())
    assert engine.library.annotate(folder / "fields.jsonl").matched == 4
    after = [dict(item.fields) for item in (*engine.items(), *engine.items(kind="text"))]
    assert after == before


def test_names_that_are_not_utf8(engine: Engine, folder: Path) -> None:
    import base64
    import os

    os.rename(folder / "red.png", os.fsencode(folder) + b"/caf\xe9.png")
    engine.index()
    engine.export(folder / "all.parquet")
    named = [row["path_bytes"] for row in parquet.read_table(folder / "all.parquet").to_pylist()]
    assert [base64.b64decode(name) for name in named if name] == [
        os.fsencode(folder) + b"/caf\xe9.png"
    ]


def test_other_endings_are_refused(engine: Engine, folder: Path) -> None:
    with pytest.raises(AlignError, match=r"none of \.npy \.parquet \.jsonl"):
        engine.export(folder / "a.csv")
    with pytest.raises(AlignError, match=r"does not end in \.jsonl"):
        export_fields(engine.library, folder / "a.npy")


def test_a_library_that_changes_meanwhile_is_refused(
    engine: Engine, folder: Path, paint: Callable[..., Path]
) -> None:
    class Adding:
        def start(self, total: int, what: str, done: int = 0) -> None:
            (folder / "green.png").unlink()
            engine.index()

        def advance(self, n: int = 1) -> None: ...

        def finish(self) -> None: ...

    with pytest.raises(AlignError, match="has changed while"):
        export(engine.library, folder / "emb.npy", progress=Adding())


def test_the_command(folder: Path) -> None:
    target = folder / "emb.npy"
    done = CliRunner().invoke(main, ["export", str(target), "--library", str(folder)])
    assert (done.exit_code, done.stderr) == (0, f"wrote 3 items to {target}\n")
