import base64
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from encoder.fake import COLOURS
from encoder.scenes import make_scene
from retrieval.cli import main
from retrieval.cli.commands import COMMANDS


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ALIGN_LIBRARY", "ALIGN_MODEL", "ALIGN_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "trip").mkdir(parents=True)
    for name in ("red", "green", "trip/blue"):
        Image.new("RGB", (12, 8), COLOURS[Path(name).name]).save(folder / f"{name}.png")
    return folder


def align(*arguments: object, status: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == status, result.output
    return result


def one_line_error(*arguments: object, status: int = 1) -> str:
    result = align(*arguments, status=status)
    assert result.stdout == ""
    line, *rest = result.stderr.splitlines()
    assert rest == []
    return line


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_index_then_search_then_nothing_to_do(photos: Path, tiny_model: Path) -> None:
    first = align("index", photos, "--model", tiny_model)
    assert first.stdout.startswith("3 added in ")
    assert first.stdout.rstrip().endswith(str(photos / ".align"))
    assert first.stderr == ""

    second = align("index", photos)
    assert second.stdout.startswith("3 unchanged in ")
    assert second.stderr == ""

    hits = objects(align("search", "a red cat", "--library", photos, "--json", "-k", 2))
    assert [list(hit) for hit in hits] == [
        ["rank", "score", "id", "kind", "path", "text", "taken_at", "width", "height"]
    ] * 2
    assert [hit["rank"] for hit in hits] == [1, 2]
    assert hits[0]["score"] >= hits[1]["score"]
    paths = {str(photos / f"{name}.png") for name in ("red", "green", "trip/blue")}
    assert {hit["path"] for hit in hits} <= paths

    table = align("search", "a red cat", "--library", photos).stdout.splitlines()
    assert len(table) == 3
    assert table[0].split() == ["1", f"{hits[0]['score']:.3f}", hits[0]["path"]]


def test_the_library_is_found_from_the_current_folder_upwards(
    photos: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    align("index", photos, "--model", tiny_model)
    monkeypatch.chdir(photos / "trip")
    assert len(align("search", "red").stdout.splitlines()) == 3
    (photos / "new.png").write_bytes((photos / "red.png").read_bytes())
    assert align("index").stdout.startswith("1 copied, 3 unchanged")
    assert align("index", ".").stdout.startswith("1 unchanged")


def test_the_library_may_be_named_by_the_environment(
    photos: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIGN_LIBRARY", str(tmp_path / "apart"))
    monkeypatch.setenv("ALIGN_MODEL", str(tiny_model))
    assert str(tmp_path / "apart" / ".align") in align("index", photos).stdout
    assert not (photos / ".align").exists()
    assert len(align("search", "red").stdout.splitlines()) == 3


def test_similar_and_captions(photos: Path, tiny_model: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.csv"
    texts.write_text("image,caption\n1.jpg,a red cat\n2.jpg,a blue dog\n")
    align("index", photos, texts, "--model", tiny_model)
    similar = objects(align("similar", photos / "red.png", "--library", photos, "--json"))
    assert {Path(hit["path"]).name for hit in similar} == {"green.png", "blue.png"}
    captions = objects(align("captions", photos / "red.png", "--library", photos, "--json"))
    assert {(hit["kind"], hit["text"], hit["path"]) for hit in captions} == {
        ("text", "a red cat", str(texts)),
        ("text", "a blue dog", str(texts)),
    }
    table = align("captions", photos / "red.png", "--library", photos, "-k", 1).stdout
    assert table.split(maxsplit=2)[2].strip() == captions[0]["text"]


def test_failures_are_listed_and_never_stop_the_rest(photos: Path, tiny_model: Path) -> None:
    (photos / "broken.jpg").write_text("not a picture")
    result = align("index", photos, "--model", tiny_model)
    assert result.stdout.startswith("3 added")
    assert "1 file cannot be read: see align failures" in result.stderr
    line = align("failures", "--library", photos).stdout
    assert line == f"{photos / 'broken.jpg'}: not a picture in a known format\n"
    (failure,) = objects(align("failures", "--library", photos, "--json"))
    assert (failure["path"], failure["reason"]) == (
        str(photos / "broken.jpg"),
        "not a picture in a known format",
    )
    assert failure["at"].endswith("+00:00")


def test_status(photos: Path, tiny_model: Path) -> None:
    align("index", photos, "--model", tiny_model)
    (status,) = objects(align("status", "--library", photos, "--json"))
    assert status["library"] == str(photos / ".align")
    assert status["counts"] == {"image": 3, "text": 0}
    assert status["failures"] == 0
    assert status["roots"] == [
        {
            "path": str(photos),
            "recursive": True,
            "files": 3,
            "state": "ok",
            "follow_symlinks": False,
            "exclude": [],
            "imported": False,
            "away": {},
        }
    ]
    assert status["journal_mode"] == "wal"
    versions = f"SQLite {status['sqlite_version']} (wal), FAISS {status['faiss_version']}\n"
    assert (status["model"]["name"], status["model"]["dim"]) == (str(tiny_model), 16)
    (generation,) = status["generations"]
    assert (generation["kind"], generation["type"], generation["count"]) == ("image", "flat", 3)
    text = align("status", "--library", photos).stdout
    assert "pictures:     3 (3 without a capture time)\n" in text
    assert f"root:         {photos} (3 files)\n" in text
    assert text.endswith(versions)


def test_index_report_as_json(photos: Path, tiny_model: Path) -> None:
    (report,) = objects(align("index", photos, "--model", tiny_model, "--json"))
    assert report.pop("seconds") > 0
    assert report == {
        "library": str(photos / ".align"),
        "added": 3,
        "changed": 0,
        "moved": 0,
        "copied": 0,
        "updated": 0,
        "reembedded": 0,
        "deleted": 0,
        "unchanged": 0,
        "failed": 0,
        "failing": 0,
        "passing": 0,
        "embedded": 3,
        "given_up": [],
        "passed_over": {},
        "unavailable": [],
    }


def test_another_model_is_refused_until_everything_is_embedded_again(
    photos: Path, tiny_model: Path, tmp_path: Path
) -> None:
    align("index", photos, "--model", tiny_model)
    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    config = other / "preprocessor_config.json"
    config.write_text(config.read_text().replace('"resample": 3', '"resample": 2'))
    line = one_line_error("search", "red", "--library", photos, "--model", other)
    assert "was indexed with" in line
    assert f"align index --reembed --model {other}" in line
    align("index", photos, "--model", other, "--reembed")
    assert len(align("search", "red", "--library", photos).stdout.splitlines()) == 3


def test_another_model_is_refused_though_nothing_is_new(photos: Path, tiny_model: Path) -> None:
    align("index", photos, "--model", tiny_model)
    line = one_line_error("index", photos, "--model", "align-mini")
    assert line.startswith("align: this library was made with ")
    assert line.endswith("`align index --reembed --model align-mini`")


def test_a_model_folder_that_moved_is_told_once(
    photos: Path, tiny_model: Path, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(tiny_model, old)
    align("index", photos, "--model", old)
    old.rename(new)
    for command in (["search", "red", "--library", photos], ["index", photos, "--reembed"]):
        line = one_line_error(*command)
        assert f"{old} is this library's own model" in line
        assert "`align index --model PLACE`" in line
    align("index", photos, "--model", new)
    assert len(align("search", "red", "--library", photos).stdout.splitlines()) == 3


def test_a_relative_model_folder_is_found_from_anywhere(
    photos: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_model.parent)
    align("index", photos, "--model", "./tiny")
    monkeypatch.chdir(photos)
    assert len(align("search", "red").stdout.splitlines()) == 3


def test_expected_errors_are_one_line_with_the_remedy(photos: Path, tiny_model: Path) -> None:
    assert "make one with `align index FOLDER`" in one_line_error("search", "red")
    assert "make one with `align index" in one_line_error("status", "--library", photos)
    line = one_line_error("index", photos, "--model", "no/such/model")
    assert line.startswith("align: no/such/model is not a checkpoint")
    align("index", photos, "--model", tiny_model)
    line = one_line_error("similar", photos / "gone.png", "--library", photos)
    assert line == f"align: {photos / 'gone.png'} cannot be opened: No such file or directory"
    line = one_line_error("search", "red", "--library", photos, "--device", "toaster")
    assert line == "align: there is no device 'toaster' here: use --device auto, cpu, cuda or mps"


def test_another_writer_is_waited_for(photos: Path, tiny_model: Path) -> None:
    from indexer.database.lock import writing

    align("index", photos, "--model", tiny_model)
    with writing(photos / ".align"):
        started = time.monotonic()
        line = one_line_error("index", photos, "--wait", 0.3)
        assert time.monotonic() - started >= 0.3
    assert line.startswith(f"align: {photos / '.align'} is being written by process {os.getpid()} ")
    assert align("index", photos, "--wait", 9).stdout.startswith("3 unchanged")


def test_verify_and_repair(photos: Path, tiny_model: Path) -> None:
    align("index", photos, "--model", tiny_model)
    clean = align("verify", "--library", photos, "--read-data", "1/1")
    assert (clean.stdout, clean.stderr) == ("", "no damage found\n")

    (path,) = (photos / ".align" / "generations").iterdir()
    path.write_bytes(b"x")
    result = align("verify", "--library", photos, status=10)
    assert result.stdout.startswith(f"generation: generations/{path.name}: is 1 bytes long instead")
    assert result.stderr == "1 finding: align repair mends them\n"
    (finding,) = objects(align("verify", "--library", photos, "--json", status=10))
    problem = finding.pop("problem")
    assert problem.startswith("is 1 bytes long instead of ")
    assert finding == {
        "what": "generation",
        "where": f"generations/{path.name}",
        "repairable": True,
        "ids": [],
    }
    repaired = align("repair", "--library", photos)
    assert repaired.stdout == result.stdout
    assert repaired.stderr == "1 finding repaired\n"
    assert align("repair", "--library", photos).stderr == "no damage found\n"
    assert objects(align("repair", "--library", photos, "--json")) == [{"repaired": [], "lost": []}]
    align("verify", "--library", photos)


def test_what_cannot_be_repaired_is_status_11(photos: Path, tiny_model: Path) -> None:
    picture = photos / "red.png"
    os.utime(picture, (10**9, 10**9))  # an old time: a fresh file could still change unnoticed
    align("index", photos, "--model", tiny_model)
    status = picture.stat()
    picture.write_bytes(bytes(status.st_size))
    os.utime(picture, ns=(status.st_atime_ns, status.st_mtime_ns))
    align("verify", "--library", photos)
    result = align("verify", "--library", photos, "--read-data", "1/1", status=11)
    assert result.stdout.startswith(f"file: {picture}: its bytes changed although")
    assert result.stderr == "1 finding, and not all can be repaired\n"

    database = photos / ".align" / "library.db"
    database.write_bytes(b"no database at all" * 99)
    result = align("verify", "--library", photos, status=11)
    assert "restore it from a backup, or delete it and run `align index` again" in result.stdout
    assert "restore it from a backup" in one_line_error("repair", "--library", photos)


def test_a_single_file_makes_no_library(photos: Path) -> None:
    line = one_line_error("index", photos / "red.png")
    assert "make one with `align index FOLDER`" in line
    assert not (photos / ".align").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["search"], "Missing argument 'TEXT'"),
        (["search", " "], "is empty: say what to look for"),
        (["search", "red", "-k", "0"], "0 is not in the range x>=1"),
        (["index", "no-such-folder"], "'no-such-folder' does not exist"),
        (["serch", "red"], "No such command 'serch'"),
        (["verify", "--read-data", "3/2"], "3/2 is not a part such as 1/10"),
        (["verify", "--read-data", "all"], "all is not a part such as 1/10"),
        (["index", "--wait", "-1"], "-1.0 is not in the range"),
        (["index", "--wait", "nan"], "nan is not in the range"),
        (["rebuild", "--target-recall", "nan"], "nan is not in the range"),
        (["index", "--batch-size", "0"], "0 is not in the range x>=1"),
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], complaint: str) -> None:
    result = align(*arguments, status=2)
    assert complaint in result.stderr
    assert result.stdout == ""


def test_an_interruption_is_one_line(
    photos: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from encoder.inference import AlignEncoder

    def interrupted(self: AlignEncoder, pictures: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(AlignEncoder, "encode_images", interrupted)
        result = align("index", photos, "--model", tiny_model, status=130)
    assert result.stderr.splitlines()[-1] == "align: interrupted; what was stored so far is kept"
    assert align("index", photos, "--model", tiny_model).stdout.startswith("3 added")


def test_an_unexpected_error_is_one_line_too(
    photos: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from encoder.inference import AlignEncoder

    def fail(error: Exception) -> Callable[..., None]:
        def encode(*arguments: object) -> None:
            raise error

        return encode

    monkeypatch.setattr(AlignEncoder, "encode_images", fail(ZeroDivisionError("by\nzero")))
    line = one_line_error("index", photos, "--model", tiny_model)
    assert line == (
        "align: unexpected ZeroDivisionError: by zero"
        " (a bug: please report it with what ALIGN_TRACEBACK=1 shows)"
    )
    monkeypatch.setenv("ALIGN_TRACEBACK", "1")
    result = CliRunner().invoke(main, ["index", str(photos), "--model", str(tiny_model)])
    assert isinstance(result.exception, ZeroDivisionError)
    full = OSError(28, "No space left on device", "/full/library.db")
    monkeypatch.setattr(AlignEncoder, "encode_images", fail(full))
    line = one_line_error("index", photos, "--model", tiny_model)
    assert line == "align: No space left on device: /full/library.db"


def test_names_that_are_not_utf8(photos: Path, tiny_model: Path) -> None:
    odd = os.fsencode(photos) + b"/caf\xe9.png"
    Path(os.fsdecode(odd)).write_bytes((photos / "red.png").read_bytes())
    align("index", photos, "--model", tiny_model)
    hits = objects(align("search", "red", "--library", photos, "--json"))
    assert odd in {base64.b64decode(hit.get("path_bytes", "")) for hit in hits}
    assert "caf\\xe9.png" in align("search", "red", "--library", photos).stdout


def test_every_command_is_listed_and_explains_itself() -> None:
    listed = align("--help").stdout
    for name, line in COMMANDS.items():
        assert line in listed
        help = align(name, "--help").stdout
        assert line.rstrip(".").split(",")[0].split()[0] in help
    assert align("--version").stdout.startswith("align, version ")


def python(code: str, *arguments: object, **rest: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        **rest,
    )


LOADED = """
import sys
from retrieval.cli import main
try:
    main(sys.argv[2:])
except SystemExit as end:
    assert not end.code, end.code
print(*sorted(set(sys.argv[1].split(",")) & set(sys.modules)), file=sys.stderr)
"""


def test_help_loads_nothing_heavy_and_takes_no_time() -> None:
    heavy = "torch,faiss,sqlalchemy,numpy,PIL,tokenizers,tqdm"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = python(LOADED, heavy, "--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0
    assert done.stderr.strip() == ""
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < 0.3


def test_indexing_with_nothing_to_do_loads_neither_torch_nor_faiss(
    photos: Path, tiny_model: Path
) -> None:
    align("index", photos, "--model", tiny_model)
    done = python(LOADED, "torch,faiss,alembic,tokenizers", "index", photos)
    assert done.stdout.startswith("3 unchanged")
    assert done.stderr.strip() == ""


def test_a_closed_output_pipe_leaves_no_traceback(photos: Path, tiny_model: Path) -> None:
    align("index", photos, "--model", tiny_model)
    code = "import sys; from retrieval.cli import main; main(sys.argv[1:])"
    (photos / "broken.jpg").write_text("not a picture")
    align("index", photos)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, "failures", "--library", photos, "--json"],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_model_of_drawn_scenes_says_so(tmp_path: Path) -> None:
    make_scene(1).draw(64).save(tmp_path / "a.png")
    said = "note: align-mini knows drawn scenes only; --model align-small knows photographs"
    first, again = (
        CliRunner().invoke(main, ["index", str(tmp_path), "--model", "align-mini"])
        for _ in range(2)
    )
    assert (first.exit_code, said in first.stderr.splitlines()) == (0, True)
    assert (again.exit_code, said in again.stderr) == (0, False)
