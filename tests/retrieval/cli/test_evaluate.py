"""The whole of `align evaluate`: drawn scenes, the bundled model, files and the cache."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from encoder import FakeEncoder, load_encoder, read_picture
from encoder.datasets import Dataset, drawn_scenes
from retrieval.cli import main

COUNT = 12


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ALIGN_MODEL", "ALIGN_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments that `open_dataset` got; it returns six scenes."""
    asked: list[dict[str, Any]] = []

    def open_dataset(name: str, **values: Any) -> Dataset:
        asked.append({"name": name, **values})
        return drawn_scenes(6)

    monkeypatch.setattr("encoder.datasets.open_dataset", open_dataset)
    return asked


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The names and devices of the models that were loaded; all of them are a FakeEncoder."""
    loaded = []

    def load_encoder(name: str, device: str) -> FakeEncoder:
        loaded.append((name, device))
        return FakeEncoder(name)

    monkeypatch.setattr("encoder.load_encoder", load_encoder, raising=False)
    return loaded


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The reports that were printed."""
    seen: list[Any] = []

    def table(report: Any) -> str:
        seen.append(report)
        return f"table {len(seen)}"

    monkeypatch.setattr("retrieval.evaluation.output.table", table)
    return seen


def align(*arguments: object, status: int = 0) -> Result:
    result = CliRunner().invoke(main, ["evaluate", *(str(a) for a in arguments)])
    assert result.exit_code == status, result.output
    return result


def test_scenes_with_the_bundled_model(tmp_path: Path, reports: list[Any]) -> None:
    arguments = ("scenes", "--pictures", COUNT, "--model", "align-mini", "--device", "cpu")
    plot, written = tmp_path / "plot.html", tmp_path / "report.json"
    first = align(*arguments, "--index", "flat", "--json", written, "--plot", plot)
    assert (first.stdout, first.stderr) == ("table 1\n", "")
    report = reports[0]
    assert (report.dataset, report.images, report.captions) == ("scenes", COUNT, 5 * COUNT)
    assert report.model == "align-mini"
    assert report.preprocessing == "112x112 bilinear"
    assert report.exact.text_to_image.recall[5] >= 0.95
    assert report.exact.image_to_text.recall[1] >= 0.9
    assert report.approximate.text_to_image.recall == report.exact.text_to_image.recall
    assert plot.stat().st_size > 0
    assert isinstance(json.loads(written.read_text()), dict)

    kept = tmp_path / "xdg" / "align-retrieval"
    before = {path: path.stat().st_size for path in kept.iterdir()}
    assert sorted(before.values())[-1] > COUNT * 4 * 100
    align(*arguments, "--index", "flat")
    assert {path: path.stat().st_size for path in kept.iterdir()} == before
    for name in ("text_to_image", "image_to_text"):
        one, other = (getattr(report.exact, name) for report in reports)
        assert (one.recall, one.mean_rank) == (other.recall, other.mean_rank)


def test_photographs(data_dir: Path, reports: list[Any], tmp_path: Path) -> None:
    """52 photographs of MSCOCO through the whole command, compared with a plain loop."""
    folder = data_dir / "coco_photos"
    entries = json.loads((folder / "dataset_coco.json").read_text())["images"]
    align(
        *("coco", "--images", folder / "images", "--annotations", folder / "dataset_coco.json"),
        *("--model", "align-mini", "--device", "cpu", "--plot", tmp_path / "plot.html"),
    )
    (report,) = reports
    assert report.images == 52
    assert report.notes[0].startswith("Not the standard coco test of 5,000 pictures and 25,010")

    mini = load_encoder("align-mini", "cpu")
    files = [folder / "images" / entry["filename"] for entry in entries]
    images = mini.encode_images([read_picture(file).image for file in files])
    captions = [[sentence["raw"].strip() for sentence in entry["sentences"]] for entry in entries]
    texts = mini.encode_texts([caption for own in captions for caption in own])
    owner = np.repeat(np.arange(52), [len(own) for own in captions])
    right = owner[:, None] == np.arange(52)
    for direction, scores, own in (
        (report.exact.text_to_image, texts @ images.T, right),
        (report.exact.image_to_text, images @ texts.T, right.T),
    ):
        order = np.argsort(-scores, axis=1)
        first = np.take_along_axis(own, order, 1).argmax(1)
        for k in (1, 5, 10):
            assert direction.recall[k] == pytest.approx((first < k).mean(), abs=1.5 / len(own))
        assert direction.mean_rank == pytest.approx(1 + first.mean(), abs=0.1)


def test_options_reach_the_evaluation(
    tmp_path: Path, opened: list[Any], fake: list[Any], reports: list[Any]
) -> None:
    align(
        *("coco", "--images", tmp_path / "i", "--annotations", tmp_path / "a.json"),
        *("--names", tmp_path / "n", "--split", "val", "--pictures", 6),
        *("--captions", "first5", "--k", "3, 1,3", "--index", "flat", "--cache", tmp_path / "own"),
        *("--model", "some/model", "--device", "cuda:7"),
    )
    assert opened == [
        {
            "name": "coco",
            "images": tmp_path / "i",
            "annotations": tmp_path / "a.json",
            "names": tmp_path / "n",
            "split": "val",
            "limit": 6,
        }
    ]
    assert fake == [("some/model", "cuda:7")]
    (report,) = reports
    assert report.caption_rule == "first5"
    assert list(report.exact.text_to_image.recall) == [1, 3]
    assert report.index.kind == "flat"
    assert {path.name for path in (tmp_path / "own").glob("*.f32")} == {
        "fa4e-images.f32",
        "fa4e-texts.f32",
    }
    assert not (tmp_path / "xdg").exists()


def test_defaults(opened: list[Any], fake: list[Any], reports: list[Any]) -> None:
    align("flickr30k")
    assert opened == [
        dict.fromkeys(["images", "annotations", "names", "split", "limit"]) | {"name": "flickr30k"}
    ]
    assert fake == [("kakaobrain/align-base", "auto")]
    assert (reports[0].caption_rule, reports[0].folds, reports[0].index) == ("all", 1, None)


@pytest.mark.parametrize("style", ["--json", "--clip-benchmark"])
def test_json_on_stdout_is_one_line(style: str, opened: list[Any], fake: list[Any]) -> None:
    result = align("scenes", style)
    assert result.stderr == ""
    (line,) = result.stdout.splitlines()
    assert "dataset" in json.loads(line)


def test_missing_pictures_are_found_before_a_model_is_loaded(
    fake: list[Any], tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("image,caption\na.jpg,red\n")
    result = align("custom", "--annotations", tmp_path / "a.csv", status=1)
    assert "1 of 1 pictures are not there (a.jpg): check --images" in result.stderr
    assert fake == []


def test_folds_need_five_thousand_pictures(opened: list[Any], fake: list[Any]) -> None:
    result = align("coco", "--folds", "5x1k", status=1)
    assert result.stdout == ""
    assert result.stderr == (
        "align: 5 folds of 1,000 need 5,000 pictures, but there are 6: leave out --folds\n"
    )
    assert fake == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("scenes", "--k", "0"),
        ("scenes", "--k", "1,,5"),
        ("scenes", "--k", "one"),
        ("scenes", "--k", "9" * 5000),
        ("scenes", "--json", ""),
        ("scenes", "--json", "/proc"),
        ("scenes", "--folds", "3x1k"),
        ("scenes", "--json", "no/such/folder/report.json"),
        ("scenes", "--plot", "no/such/folder/page.html"),
        ("scenes", "--pictures", "0"),
    ],
)
def test_wrong_usage_loads_no_model(arguments: tuple[str, ...], fake: list[Any]) -> None:
    result = align(*arguments, status=2)
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1].startswith("Error: Invalid value for ")
    assert fake == []


def test_two_files_of_one_name_are_refused(tmp_path: Path, fake: list[Any]) -> None:
    file = tmp_path / "x"
    result = align("scenes", "--json", file, "--plot", tmp_path / "." / "x", status=2)
    assert "--json and --plot name the same file" in result.stderr
    assert fake == []


@pytest.mark.parametrize("script", ["recall_flickr30k", "recall_mscoco"])
def test_the_scripts_are_the_command(script: str) -> None:
    path = Path(__file__).parents[3] / "benchmarks" / f"{script}.py"
    done = subprocess.run(
        [sys.executable, path, "--help"], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("--folds [5x1k]") == 1


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_a_report_may_go_to_standard_output(
    name: str,
    opened: list[dict[str, Any]],
    fake: list[tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert json.loads(align("scenes", "--json", name).stdout)["images"] == 6
    assert not (tmp_path / "-").exists()
    assert "needs the name of a file" in align("scenes", "--plot", name, status=2).stderr
