"""The examples of docs/python.md run."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from encoder.scenes import make_scene

DOCUMENT = (Path(__file__).parents[1] / "docs/python.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos, of which some are alike."""
    home = tmp_path_factory.mktemp("home")
    (home / "photos").mkdir()
    for seed, name in enumerate("abcdef"):
        make_scene(seed).draw(128).save(home / "photos" / f"{name}.jpg")
    with Image.open(home / "photos" / "a.jpg") as picture:
        picture.save(home / "photos" / "again.jpg", quality=80)
    (home / "photos" / "a.json").write_text(json.dumps({"n": 5}))
    return home


def test_the_examples_run_in_their_order(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(home)
    assert len(EXAMPLES) == 4
    printed, results = [], []
    for example in EXAMPLES:
        names: dict[str, object] = {}
        exec(compile(example, "docs/python.md", "exec"), names)
        printed.append(capsys.readouterr().out.splitlines())
        results.append(names)
    assert printed[0][0] == "7 7"
    assert [line.split()[0] for line in printed[0][1:]] == ["1", "2", "3"]
    assert len(results[1]["newest"]) == 5  # type: ignore[arg-type]
    assert [len(hits) for hits in results[1]["many"]] == [2, 2]  # type: ignore[attr-defined]
    assert len(results[2]["middle"]) == 3  # type: ignore[arg-type]
    assert (home / "all.parquet").exists()
    kinds = [line.split()[0] for line in printed[3][1:]]
    assert kinds == ["near"]
    assert "a.jpg" in printed[3][1]
    assert "again.jpg" in printed[3][1]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(\w+)=", DOCUMENT))))
def test_the_options_named_exist(name: str) -> None:
    from inspect import signature

    from retrieval import open_library

    assert name in signature(open_library).parameters
