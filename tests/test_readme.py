"""What the README promises holds."""

import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from encoder import load_encoder
from encoder.scenes import BACKGROUNDS, COLOURS, KINDS, make_scene
from indexer.ann.layout import FLAT_LIMIT, TARGET_RECALL
from retrieval.cli import demo, main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def terminal_answer() -> tuple[str, list[tuple[str, str, str]]]:
    """The question of the README's terminal block; rank, score and file name of each hit."""
    (block,) = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    command, *lines = block.splitlines()
    (question,) = re.findall(r'^\$ align search "(.+)" -k 3 --library demo$', command)
    shown = [
        re.fullmatch(r" {2}(\d)  (0\.\d{3})  /\S+/demo/pictures/(\w+\.jpg)", line) for line in lines
    ]
    return question, [(hit[1], hit[2], hit[3]) for hit in shown if hit is not None]


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"\bmake (\w+)\b", README.replace("and make.", "")))
    assert {"demo", "test", "check"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_files_linked_exist() -> None:
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_document_is_linked() -> None:
    linked = set(re.findall(r"\]\((docs/[^)]+)\)", README))
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= linked


def test_the_map_names_every_folder() -> None:
    shown = set(re.findall(r"^    (\w+)/ ", README, re.MULTILINE))
    ours = [p for p in ROOT.iterdir() if p.is_dir() and p.name.isidentifier()]
    assert shown == {p.name for p in ours if next(p.glob("**/*.[pm][yd]"), None)}


def test_the_numbers_of_align_mini() -> None:
    said = f"{len(KINDS)} kinds of thing, {len(COLOURS)} colours, {len(BACKGROUNDS)} backgrounds"
    assert said in README.replace("\n", " ")


def test_the_numbers_of_the_index() -> None:
    numbers = r"Up to ([\d,]+) pictures search is exact\..*? (\d+) % of"
    ((limit, share),) = re.findall(numbers, README, re.DOTALL)
    assert int(limit.replace(",", "")) == FLAT_LIMIT
    assert int(share) / 100 == TARGET_RECALL


def test_the_answer_in_the_terminal() -> None:
    """Each picture has the score shown; `tests/retrieval/cli/test_demo.py` checks the order."""
    question, hits = terminal_answer()
    assert question in demo.QUESTIONS
    assert [rank for rank, _, _ in hits] == ["1", "2", "3"]
    seeds = {demo._name(i): demo.FIRST_SEED + i for i in range(demo.PICTURES)}
    encoder = load_encoder("align-mini", device="cpu")
    pictures = []
    for _, _, name in hits:
        file = BytesIO()
        make_scene(seeds[name]).draw().save(file, "JPEG", quality=90)
        pictures.append(encoder.prepare(Image.open(file)))
    (text,) = encoder.encode_texts([question])
    scores = encoder.encode_images(pictures) @ text
    assert scores == pytest.approx([float(score) for _, score, _ in hits], abs=0.001)


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An indexed folder ~/Pictures, which is also the current folder."""
    folder = tmp_path / "Pictures"
    folder.mkdir()
    for seed, name in enumerate(["a", "b", "c", "d", "e", "f", "beach"]):
        make_scene(seed).draw(128).save(folder / f"{name}.jpg")
    (folder / "a.json").write_text('{"aesthetic": 6}')
    indexed = CliRunner().invoke(main, ["index", str(folder), "--model", "align-mini"])
    assert indexed.exit_code == 0, indexed.output
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(folder)
    return folder


def run(example: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(example, "README.md", "exec"), names)
    return names


def test_the_python_examples_run(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(first.strip().splitlines()) <= 6
    run(first)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    scores = [float(line.split()[0]) for line in lines]
    assert scores == sorted(scores, reverse=True)
    assert all(Path(line.split(maxsplit=1)[1]).parent == pictures for line in lines)

    run(second)

    names = run(third)
    assert "# (1, 256) float32" in third
    assert names["vectors"].shape == (1, 256)
    assert names["vectors"].dtype == "float32"
    ((best, other),) = names["labels"]
    assert {best.label, other.label} == {"boat", "car"}
    assert best.probability + other.probability == pytest.approx(1)
