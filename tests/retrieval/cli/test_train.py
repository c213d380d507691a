"""`align train`: from a user's folder of photographs to a model that searches."""

import itertools
import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
import transformers
from click.testing import CliRunner, Result
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from encoder import load_encoder
from encoder.scenes import make_scene
from retrieval.cli import main
from retrieval.cli.train import command
from tests.encoder.foreign_towers import write_bert, write_lite

TINY = ("--image-size", "32", "--batch-size", "8", "--epochs", "2", "--save-every", "2")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty JPEGs with captions in Karpathy's JSON; 16 of them are to train on."""
    folder = tmp_path_factory.mktemp("photos")
    images = []
    for i in range(20):
        scene = make_scene(i)
        scene.draw(48).save(folder / f"{i:03}.jpg")
        sentences = [{"raw": caption, "tokens": caption.split()} for caption in scene.captions()]
        split = "train" if i < 16 else "val"
        images.append({"filename": f"{i:03}.jpg", "split": split, "sentences": sentences})
    text = json.dumps({"dataset": "flickr8k", "images": images})
    (folder / "dataset.json").write_text(text)
    return folder


def train(photos: Path, out: Path, *options: str) -> Result:
    data = ("--annotations", str(photos / "dataset.json"), "--images", str(photos))
    return CliRunner().invoke(main, ["train", "flickr8k", *data, "--out", str(out), *options])


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "photos"
    result = train(photos, out, "--from", "scratch", "--preset", "mini", *TINY)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    assert "training on 16 pictures for 4 steps of 8, float32 on cpu" in result.stderr
    assert "step 4 of 4: loss " in result.stderr
    assert "text_to_image@10 1.000, " in result.stderr  # of four pictures
    return out


def test_the_log_has_every_step_and_the_recalls(trained: Path) -> None:
    lines = [json.loads(x) for x in (trained / "training" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert all(line["loss"] > 0 and line["images_per_second"] > 0 for line in lines)
    assert [line["recall"] is None for line in lines] == [True, False, True, False]
    ways = {f"{way}@{k}" for way in ("text_to_image", "image_to_text") for k in (1, 5, 10)}
    assert lines[3]["recall"].keys() == ways | {"rsum"}


def test_the_result_indexes_and_searches(trained: Path, photos: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    shutil.copytree(photos, pictures, ignore=shutil.ignore_patterns("*.json"))
    runner = CliRunner()
    indexed = runner.invoke(main, ["index", str(pictures), "--model", str(trained)])
    assert indexed.exit_code == 0, indexed.output
    found = runner.invoke(main, ["search", "a cat", "--library", str(pictures), "--json"])
    hits = [json.loads(line) for line in found.stdout.splitlines()]
    assert len(hits) == 10
    assert all(Path(hit["path"]).parent == pictures for hit in hits)


def test_the_result_is_a_checkpoint_of_the_reference_library(trained: Path, photos: Path) -> None:
    from encoder import read_picture

    encoder = load_encoder(str(trained), device="cpu")
    picture = read_picture(photos / "003.jpg").image
    reference = transformers.AlignModel.from_pretrained(trained).eval()
    processor = transformers.EfficientNetImageProcessorPil.from_pretrained(trained)
    tokenizer = transformers.AutoTokenizer.from_pretrained(trained)
    with torch.inference_mode():
        image = reference.get_image_features(**processor(picture, return_tensors="pt"))
        text = reference.get_text_features(**tokenizer(["a red cat"], return_tensors="pt"))
    for ours, theirs in (
        (encoder.encode_images([picture]), image.pooler_output),
        (encoder.encode_texts(["a red cat"]), text.pooler_output),
    ):
        wanted = torch.nn.functional.normalize(theirs, dim=-1)
        torch.testing.assert_close(torch.from_numpy(ours), wanted, atol=1e-5, rtol=0)


def test_run_again_it_has_nothing_to_do(trained: Path, photos: Path) -> None:
    before = (trained / "model.safetensors").read_bytes()
    result = train(photos, trained, "--from", "scratch", *TINY)
    assert (result.exit_code, result.stdout) == (0, f"{trained}\n")
    assert "step " not in result.stderr.split("\n", 1)[1]
    assert (trained / "model.safetensors").read_bytes() == before


def test_fine_tuning_keeps_vocabulary_and_preprocessing(
    trained: Path, photos: Path, tmp_path: Path
) -> None:
    options = ("--batch-size", "16", "--micro-batch", "8", "--epochs", "1", "--ema", "0.9")
    result = train(photos, tmp_path, "--from", str(trained), "--freeze", "text", *options)
    assert result.exit_code == 0, result.output
    for name in ("tokenizer.json", "preprocessor_config.json", "config.json"):
        old, new = (json.loads((folder / name).read_text()) for folder in (trained, tmp_path))
        assert new == old, name
    old, new = (load_encoder(str(folder), device="cpu") for folder in (trained, tmp_path))
    assert (old.encode_texts(["a red cat"]) == new.encode_texts(["a red cat"])).all()
    assert old.fingerprint != new.fingerprint


def test_two_foreign_towers(photos: Path, tmp_path: Path) -> None:
    write_bert(tmp_path / "bert")
    towers = (
        *("--image-tower", str(write_lite(tmp_path / "lite.pth"))),
        *("--text-tower", str(tmp_path / "bert")),
    )
    labelled = tmp_path / "labelled" / "cat"
    labelled.mkdir(parents=True)
    for number in range(2):
        make_scene(number).draw(48).save(labelled / f"{number}_cat.jpg")
        make_scene(number).draw(48).save(tmp_path / "labelled" / f"{number}_dog.jpg")
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"class {n}" for n in range(10)))
    options = (
        *(*towers, *TINY, "--freeze-norms", "--freeze-stages", "3", "--kept-views", "2"),
        *("--labels", str(labelled.parent), "--labelled", "2", "--stored-as", "float16"),
        *("--classifier", str(tmp_path / "lite.pth"), "--stored-size", "40"),
    )
    result = train(photos, tmp_path / "out", *options, "--class-names", str(names))
    assert result.exit_code == 0, result.output
    encoder = load_encoder(str(tmp_path / "out"), device="cpu")
    assert (encoder.dim, encoder.preprocessing) == (32, "40x40 bicubic")
    stored = load_file(tmp_path / "out" / "model.safetensors")
    assert {str(tensor.dtype) for tensor in stored.values()} == {"torch.float16"}
    again = train(photos, tmp_path / "out", *options, "--class-names", str(names))
    assert (again.exit_code, again.stdout) == (0, result.stdout)
    names.write_text(names.read_text().replace("class 3", "class three"))
    other = train(photos, tmp_path / "out", *options, "--class-names", str(names))
    assert other.exit_code == 1
    assert "was written with other pictures or captions" in other.stderr
    more = (
        *("--from", str(tmp_path / "out"), *TINY[2:], "--freeze", "towers", "--kept-views", "2"),
        *("--labels", str(labelled.parent), "--labelled", "2", "--captions", "2"),
    )
    heads = train(photos, tmp_path / "heads", *more)
    assert heads.exit_code == 0, heads.output
    names.write_text("cat")
    other = train(photos, tmp_path / "new", *options, "--class-names", str(names))
    assert (other.exit_code, other.stderr.splitlines()[-1]) == (
        1,
        "align: 1 names for the 10 classes of the classifier",
    )
    broken = train(photos, tmp_path / "other", *towers[:2], "--text-tower", __file__, *TINY)
    assert broken.exit_code == 1
    assert "test_train.py is no folder or zip file with config.json" in broken.stderr


def test_labelled_pictures_beside_captions(photos: Path, tmp_path: Path) -> None:
    options = ("--from", "scratch", *TINY, "--epochs", "1")
    for n, label in enumerate(("cat", "dog", "boat", "tree")):
        (tmp_path / "labelled" / label).mkdir(parents=True)
        make_scene(100 + n).draw(48).save(tmp_path / "labelled" / label / "1.jpg")
    labels = ("--labels", str(tmp_path / "labelled"), "--labelled")
    result = train(photos, tmp_path / "out", *options, *labels, "4", "--template", "see a {}")
    assert result.exit_code == 0, result.output
    assert "training on 16 pictures for 4 steps of 8" in result.stderr  # 4 of them with captions
    other = train(photos, tmp_path / "out", *options, *labels, "4", "--template", "hear a {}")
    assert "was written with other pictures or captions" in other.stderr
    few = train(photos, tmp_path / "few", *options, *labels, "6")
    assert "there are fewer than 6 labels" in few.stderr


def test_scenes_take_the_same_path(tmp_path: Path) -> None:
    numbers = ("--pictures", "10", "--val-pictures", "3", "--paraphrase-steps", "1")
    asked = ["train", "scenes", "--from", "scratch", "--out", str(tmp_path), *TINY, *numbers]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 0, result.output
    assert load_encoder(str(tmp_path), device="cpu").dim == 256


def test_the_recipe_of_align_mini(tmp_path: Path) -> None:
    numbers = ("--pictures", "10", "--val-split", "none", "--batch-size", "8", "--epochs", "1")
    out = ("--out", str(tmp_path))
    asked = ["train", "scenes", "--from", "scratch", "--preset", "align-mini", *out, *numbers]
    result = CliRunner().invoke(main, asked)
    assert result.exit_code == 0, result.output
    bundled = Path(__file__).parents[3] / "encoder" / "checkpoints" / "align-mini"
    sizes = [json.loads((folder / "config.json").read_text()) for folder in (tmp_path, bundled)]
    for config in sizes:
        del config["text_config"]["vocab_size"]
    assert sizes[0] == sizes[1]
    assert (tmp_path / "model.safetensors").stat().st_size < 7_000_000  # float16


def test_other_files_are_not_overwritten(photos: Path) -> None:
    result = train(photos, photos, "--from", "scratch", *TINY)
    assert result.exit_code == 1
    assert result.stderr == f"align: {photos} holds other files: give a new folder as --out\n"
    assert not (photos / "model.safetensors").exists()


def test_a_users_own_folder_named_training_is_refused(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "config.json").write_text("mine")
    result = train(photos, tmp_path, "--from", "scratch", *TINY)
    assert result.exit_code == 1
    assert "holds other files" in result.stderr
    assert (tmp_path / "config.json").read_text() == "mine"


def test_a_full_disk_is_a_sentence(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise SafetensorError("No space left on device (os error 28)")

    monkeypatch.setattr("encoder.towers.save_file", full)
    result = train(photos, tmp_path / "out", "--from", "scratch", *TINY)
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("align: ")]
    assert "cannot be written (No space left on device" in line
    assert "make room" in line


def test_corrected_captions_make_a_new_vocabulary(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    text = (folder / "dataset.json").read_text()
    (folder / "007.jpg").rename(folder / "kept")
    assert train(folder, tmp_path / "out", "--from", "scratch", *TINY).exit_code == 1
    (folder / "kept").rename(folder / "007.jpg")
    (folder / "dataset.json").write_text(text.replace(" a ", " lighthouse "))
    result = train(folder, tmp_path / "out", "--from", "scratch", *TINY)
    assert result.exit_code == 0, result.output
    assert (
        "lighthouse" in json.loads((tmp_path / "out/tokenizer.json").read_text())["model"]["vocab"]
    )


def test_a_frozen_text_tower_has_no_paraphrases(photos: Path, tmp_path: Path) -> None:
    result = train(
        photos, tmp_path, "--from", "scratch", "--freeze", "text", *TINY, "--epochs", "5"
    )
    assert result.exit_code == 0, result.output


def test_others_may_read_the_weights(trained: Path) -> None:
    modes = {path.stat().st_mode & 0o777 for path in trained.iterdir() if path.is_file()}
    assert len(modes) == 1


def test_a_broken_photograph_is_named_before_anything_is_trained(
    photos: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "photos"
    shutil.copytree(photos, broken)
    (broken / "004.jpg").write_bytes(b"\xff\xd8 not a picture")
    (broken / "007.jpg").unlink()
    out = tmp_path / "out"
    refused = train(broken, out, "--from", "scratch", *TINY)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("align: 1 of 16 pictures cannot be read: 007.jpg (not there)")
    assert not (out / "model.safetensors").exists()
    (broken / "018.jpg").unlink()  # one that recall is measured on
    options = ("--allow-missing", "--batch-size", "7", "--image-size", "32", "--epochs", "1")
    left = train(broken, out, "--from", "scratch", *options)
    assert left.exit_code == 0, left.output
    assert "training on 14 pictures" in left.stderr

    (broken / "007.jpg").write_bytes((photos / "007.jpg").read_bytes())
    (broken / "004.jpg").write_bytes((photos / "004.jpg").read_bytes())
    validation = train(broken, tmp_path / "other", "--from", "scratch", *TINY)
    assert validation.exit_code == 1
    assert "1 of 4 pictures cannot be read: 018.jpg" in validation.stderr
    assert "step 1" not in validation.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--from", "align-mini", "--preset", "mini"), "are for --from scratch"),
        (("--from", "scratch", "--preset", "align-mini"), "is for: scenes --from scratch"),
        (("--from", "scratch", "--freeze", "both"), "'both' is not one of 'image', 'text'"),
        ((), "give either --from, or both --image-tower and --text-tower"),
        (("--image-tower", __file__), "give either --from, or both"),
        (("--from", "align-mini", "--text-tower", __file__), "give either --from, or both"),
        (("--from", "scratch", "--labelled", "2"), "are for --labels FOLDER"),
        (("--from", "scratch", "--labels", ".", "--template", "a"), "needs {} in the place"),
        (("--from", "align-mini", "--kept-views", "2"), "is for --freeze-stages or --freeze tow"),
        (("--from", "align-mini", "--classifier", __file__), "belong together: give both"),
        (("--from", "align-mini", "--class-names", __file__), "belong together: give both"),
    ],
)
def test_wrong_usage(options: tuple[str, ...], said: str, photos: Path, tmp_path: Path) -> None:
    result = train(photos, tmp_path / "out", *options)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_batch_larger_than_the_dataset_is_refused_before_anything_is_decoded(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: object, **__: object) -> None:
        pytest.fail("decoded")

    monkeypatch.setattr("encoder.datasets.prepare_pictures", decode, raising=False)
    result = train(photos, tmp_path / "out", "--from", "scratch", "--batch-size", "17")
    assert result.exit_code == 1
    assert result.stderr == (
        "align: 16 pictures are fewer than one batch of 17: give more pictures or a smaller"
        " --batch-size\n"
    )
    assert not (tmp_path / "out").exists()


def test_the_default_batch_shrinks_to_the_dataset(photos: Path, tmp_path: Path) -> None:
    options = ("--image-size", "32", "--epochs", "1", "--val-split", "none")
    result = train(photos, tmp_path / "out", "--from", "scratch", *options)
    assert result.exit_code == 0, result.output
    assert "a step compares 16 pictures, because there are only 16\n" in result.stderr
    assert "for 1 step of 16" in result.stderr


def test_the_recipe_of_align_small_gives_options_that_exist() -> None:
    """It takes hours, so only its words are checked here."""
    root = Path(__file__).parents[3]
    said = subprocess.run(
        ["make", "-n", "align-small", "DATA=data", "OUT=out"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.replace("\\\n", " ")
    runs = [shlex.split(line) for line in said.splitlines() if "align train flickr8k" in line]
    known = {name for param in command.params for name in param.opts}
    assert len(runs) == 2
    for words in runs:
        given = [word for word in words if word.startswith("--")]
        assert len(given) > 15
        assert sorted(set(given) - known) == []
    heads, whole = (dict(itertools.pairwise(words)) for words in runs)
    assert (heads["--freeze"], heads["--out"]) == ("towers", whole["--from"])
    assert (whole["--stored-as"], whole["--out"]) == ("float16", "out")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--freeze-stages", "99"), "the picture tower has 4 stages: freeze that many at most"),
        (("--labels", "empty"), "no pictures"),
        (("--labels", "empty", "--labelled", "7"), "7 labelled pictures in a batch of 8"),
        (("--stored-size", "17"), "pictures of 17 x 17 pixels are too small for this model"),
        (("--stored-size", "0"), "0 is not in the range 16<=x<=1024"),
        (("--stored-size", "100000"), "100000 is not in the range 16<=x<=1024"),
        (("--classifier", "notes.txt", "--class-names", "notes.txt"), "notes.txt"),
    ],
)
def test_wrong_settings_are_refused_before_pictures_are_decoded(
    options: tuple[str, ...],
    said: str,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no weights")
    lite = ("--image-tower", str(write_lite(tmp_path / "lite.pth")))
    write_bert(tmp_path / "bert")
    towers = (*lite, "--text-tower", str(tmp_path / "bert"))
    start = towers if "17" in options else ("--from", "scratch")

    def decode(*arguments: object, **options: object) -> None:
        raise AssertionError("a picture was decoded")

    monkeypatch.setattr("encoder.datasets.prepare_pictures", decode)
    result = train(photos, tmp_path / "out", *start, *TINY, *options)
    assert result.exit_code in (1, 2), result.output
    assert said in result.stderr
    assert "a bug" not in result.stderr


@pytest.mark.parametrize(
    ("options", "norms"),
    [
        (("--from", "align-mini"), True),
        (("--from", "align-mini", "--no-freeze-norms"), False),
        (("--from", "scratch"), False),
        (("--from", "scratch", "--freeze-norms"), True),
    ],
)
def test_few_pictures_at_once_keep_the_statistics_of_norms(
    options: tuple[str, ...], norms: bool, photos: Path, tmp_path: Path
) -> None:
    small = ("--batch-size", "16", "--micro-batch", "8", "--epochs", "1")
    result = train(photos, tmp_path, *options, *small, "--elementwise-dropout")
    assert result.exit_code == 0, result.output
    with safe_open(tmp_path / "training" / "state.safetensors", "pt") as state:
        settings = json.loads(state.metadata()["settings"])
    assert (settings["frozen_norms"], settings["elementwise_dropout"]) == (norms, True)
