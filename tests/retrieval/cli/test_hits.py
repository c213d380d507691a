"""What commands do with hits and names: forms for scripts, files, pages, a library of one's own."""

import base64
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from encoder.fake import COLOURS, FakeEncoder
from indexer import Library
from retrieval.cli import main
from retrieval.cli.names import pasteable, printable


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ALIGN_LIBRARY", "ALIGN_MODEL", "ALIGN_DEVICE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("encoder.inference.load_encoder", lambda *_: FakeEncoder())
    monkeypatch.setattr("encoder.load_encoder", lambda *_: FakeEncoder(), raising=False)


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """red.png, green.png and blue.png of 2021, 2022 and 2023, indexed, in the current folder."""
    folder = tmp_path / "album"
    folder.mkdir()
    for year, name in enumerate(("red", "green", "blue"), 2021):
        exif = Image.Exif()
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = f"{year}:05:06 07:08:09"
        exif[ExifTags.Base.Model] = f"Cam {name}"
        Image.new("RGB", (12, 8), COLOURS[name]).save(folder / f"{name}.png", exif=exif)
    monkeypatch.chdir(folder)
    with Library.create(folder) as library:
        library.index([folder], FakeEncoder)
    return folder


def align(*arguments: object, status: int = 0, stdin: str | bytes | None = None) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)
    assert result.exit_code == status, result.output
    return result


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é.jpg", "plain é.jpg"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202egpj.exe", "\\u202egpj.exe"),
        (os.fsdecode(b"caf\xe9"), "caf\\xe9"),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_names_are_harmless_to_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    "name", [b"a b.jpg", b"it's.jpg", b"$(x).jpg", b"a\nb", b"caf\xe9", b"\\'\x1b"]
)
def test_pasteable_names_are_what_a_shell_reads(name: bytes) -> None:
    command = f"printf %s {pasteable(os.fsdecode(name))}"
    assert subprocess.run(["bash", "-c", command], capture_output=True).stdout == name


def test_paths_alone(album: Path) -> None:
    found = align("search", "red", "-k", 2, "--paths").stdout.splitlines()
    assert found[0] == str(album / "red.png")
    data = align("search", "red", "-k", 2, "--print0").stdout_bytes
    assert data == b"".join(os.fsencode(path) + b"\0" for path in found)
    assert "exclude each other" in align("search", "red", "--json", "--paths", status=2).stderr


def test_names_that_are_not_utf8_in_json(album: Path) -> None:
    odd = os.fsencode(album) + b"/caf\xe9.png"
    os.rename(album / "red.png", odd)
    with Library.open(album) as library:
        library.index([], FakeEncoder)
    (hit,) = objects(align("search", "red", "-k", 1, "--json"))
    assert hit["path"] == f"{album}/caf\ufffd.png"
    assert base64.b64decode(hit["path_bytes"]) == odd
    assert align("search", "red", "-k", 1, "--paths").stdout_bytes == odd + b"\n"
    assert "caf\\xe9.png" in align("search", "red", "-k", 1).stdout


def on_a_terminal(album: Path, folder: Path, *arguments: str) -> str:
    """What a command shows on a terminal in `folder`."""
    code = (
        "import sys; from encoder.fake import FakeEncoder; import retrieval.opening as e;"
        "e.load_named = lambda *_: FakeEncoder();"
        "from retrieval.cli import main; main(sys.argv[1:])"
    )
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 110, 1100, 1000))
    command = [sys.executable, "-c", code, *arguments]
    environment = {**os.environ, "ALIGN_LIBRARY": str(album), "TERM": "xterm-256color"}
    subprocess.run(
        command,
        stdin=child,
        stdout=child,
        stderr=child,
        cwd=folder,
        env=environment,
        check=True,
        timeout=120,
    )
    os.close(child)
    data = b""
    while True:
        try:
            some = os.read(parent, 4096)
        except OSError:
            break
        data += some
    os.close(parent)
    return data.decode()


def test_paths_are_relative_on_a_terminal_in_ones_own_folder(album: Path) -> None:
    (album / "trip").mkdir()
    (album / "red.png").rename(album / "trip" / "red.png")
    with Library.open(album) as library:
        library.index([], FakeEncoder)
    ask = ("search", "red", "-k", "3")
    assert "  trip/red.png" in on_a_terminal(album, album, *ask)
    assert f"  {album}/trip/red.png" in on_a_terminal(album, Path("/usr"), *ask)
    assert f"  {album}/trip/red.png" in align("search", "red").stdout


def test_filters_alone_list_the_newest_first(album: Path) -> None:
    lines = align("search", "--after", "2022").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["1", "2023-05-06", "07:08", str(album / "blue.png")],
        ["2", "2022-05-06", "07:08", str(album / "green.png")],
    ]
    (hit,) = objects(align("search", "--camera", "cam red", "--json"))
    assert (hit["score"], hit["path"]) == (None, str(album / "red.png"))
    assert "say what to look for" in align("search", status=2).stderr
    assert "need a question" in align("search", "--after", "2022", "--group", status=2).stderr


def test_sorted_by_date_shows_the_date(album: Path) -> None:
    lines = align("search", "red", "--sort", "date").stdout.splitlines()
    assert [line.split()[2] for line in lines] == ["2023-05-06", "2022-05-06", "2021-05-06"]


def test_a_least_score(album: Path) -> None:
    hits = objects(align("search", "red", "--json"))
    least = (hits[0]["score"] + hits[1]["score"]) / 2
    assert objects(align("search", "red", "--json", "--min-score", least)) == hits[:1]
    assert align("search", "red", "--min-score", "1").stderr == "nothing found\n"


def test_full_hits_have_all_metadata(album: Path) -> None:
    (album / "t.csv").write_text("path,n,who\nred.png,5,Ann\n")
    align("annotate", "t.csv")
    (hit,) = objects(align("search", "red", "-k", 1, "--json", "--full"))
    assert hit["fields"] == {"n": 5, "who": "Ann"}
    assert (hit["camera"], hit["format"], hit["latitude"]) == ("Cam red", "PNG", None)
    assert "--full is for --json" in align("search", "red", "--full", status=2).stderr


def test_questions_from_the_input(album: Path) -> None:
    result = align("search", "-", "-k", 1, "--json", stdin="red\n\n  green  \n")
    assert [(hit["query"], Path(hit["path"]).name) for hit in objects(result)] == [
        ("red", "red.png"),
        ("green", "green.png"),
    ]
    lines = align("search", "-", "-k", 1, stdin="blue\n").stdout.splitlines()
    assert (lines[0], lines[1].split()[2]) == ("blue", str(album / "blue.png"))


def test_hits_are_copied_and_linked_and_nothing_is_overwritten(album: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "red.png").write_bytes(b"mine")
    for _ in range(2):
        result = align(
            "search", "red", "-k", 2, "--copy-to", there, "--link-to", tmp_path / "links"
        )
        assert f"copied 2 files to {there}\n" in result.stderr
    assert (there / "red.png").read_bytes() == b"mine"
    assert (there / "red (2).png").read_bytes() == (album / "red.png").read_bytes()
    assert len(names(there)) == 3
    assert os.readlink(tmp_path / "links" / "red.png") == str(album / "red.png")
    (album / "red.png").unlink()
    result = align("search", "red", "-k", 1, "--copy-to", tmp_path / "new", status=1)
    assert "red.png was not copied: No such file or directory\n" in result.stderr


def test_a_page_with_the_hits(album: Path, tmp_path: Path) -> None:
    page = tmp_path / "out" / "hits.html"
    page.parent.mkdir()
    result = align("search", "red & <b>", "-k", 1, "--html", page)
    assert result.stderr == f"wrote {page}\n"
    text = page.read_text()
    for part in ("red &amp; &lt;b&gt;", "data:image/webp;base64,", "../album/red.png", "Cam red"):
        assert part in text
    assert "2021-05-06 07:08" in text


def test_showing_everything_that_is_known(album: Path) -> None:
    (album / "red.json").write_text('{"mood": "calm", "n": 1}')
    (album / "copy.png").write_bytes((album / "red.png").read_bytes())
    with Library.open(album) as library:
        library.index([], FakeEncoder)
    (album / "t.csv").write_text("path,n\nred.png,2\n")
    align("annotate", "t.csv")
    text = align("show", "red.png").stdout
    for part in (
        "taken:        2021-05-06 07:08:09 (EXIF DateTimeOriginal)",
        "camera:       Cam red",
        "field:        mood = calm (sidecar)",
        "field:        n = 1 (sidecar; another word counts more)",
        f"copy:         {album / 'copy.png'}",
        str(album / "green.png"),
    ):
        assert part in text
    assert "field:        n = 2 (annotated, " in text
    rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    xmp = f"""<r:RDF xmlns:r="{rdf}" xmlns:x="http://ns.adobe.com/xap/1.0/"
        ><r:Description x:Rating="4"/></r:RDF>"""
    with Image.open(album / "green.png") as image:
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp)
        image.save(album / "green.png", pnginfo=info)
    with Library.open(album) as library:
        library.index([], FakeEncoder)
    assert "field:        rating = 4 (in the file)\n" in align("show", "green.png").stdout
    (told,) = objects(align("show", "./red.png", "-k", 0, "--json"))
    assert told["neighbours"] == []
    assert [(said["name"], said["value"], said["counts"]) for said in told["said"]] == [
        ("mood", "calm", True),
        ("n", 2, True),
        ("n", 1, False),
    ]
    assert "is not in it" in align("show", "nothing.png", status=1).stderr


def test_the_fields_of_a_library(album: Path) -> None:
    assert "no fields yet" in align("fields").stderr
    (album / "red.json").write_text('{"n": 1, "when": "2024-01-01"}')
    with Library.open(album) as library:
        library.index([], FakeEncoder)
    (album / "t.csv").write_text("path,n\nred.png,x\ngreen.png,2.5\n")
    align("annotate", "t.csv")
    assert objects(align("fields", "--json")) == [
        {
            "name": "n",
            "types": ["integer", "number", "text"],
            "items": 2,
            "speakers": ["person", "sidecar"],
        },
        {"name": "when", "types": ["date"], "items": 1, "speakers": ["sidecar"]},
    ]
    assert align("fields").stdout.splitlines()[1].split() == [
        "when",
        "date",
        "1",
        "item",
        "sidecar",
    ]


def test_a_second_root_finds_its_library(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    (other / "in").mkdir(parents=True)
    Image.new("RGB", (8, 8), COLOURS["yellow"]).save(other / "in" / "yellow.png")
    align("index", "--library", album, other, "--model", "fake")
    monkeypatch.chdir(other / "in")
    assert align("search", "yellow", "-k", 1, "--paths").stdout == f"{other}/in/yellow.png\n"
    assert align("index", other).stdout.startswith("1 unchanged")
    assert names(other) == {"in"}
    assert names(other / "in") == {"yellow.png"}
    (line,) = objects(align("libraries", "--json"))
    assert (line["library"], line["pictures"]) == (str(album / ".align"), 4)
    assert line["roots"] == [str(album), str(other)]
    assert align("libraries", "--forget", album).stderr == f"{album} is off the list\n"
    assert align("libraries").stderr == "no libraries yet: make one with align index FOLDER\n"
    assert "none that watches it" in align("search", "yellow", status=1).stderr


def test_two_libraries_that_watch_a_folder_are_named(
    tmp_path: Path, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, second = tmp_path / "other", tmp_path / "a second"
    other.mkdir()
    Image.new("RGB", (8, 8), COLOURS["yellow"]).save(other / "yellow.png")
    for library in (album, second):
        align("index", "--library", library, other, "--model", "fake")
    monkeypatch.chdir(other)
    said = align("search", "yellow", status=1).stderr
    assert f"--library: {album}, '{second}'" in said


def test_a_run_that_fails_at_once_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from encoder import CheckpointError

    def fail(*_: object) -> None:
        raise CheckpointError("no such model")

    monkeypatch.setattr("encoder.inference.load_encoder", fail)
    monkeypatch.setattr("encoder.load_encoder", fail, raising=False)
    folder = tmp_path / "new"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    assert align("index", folder, status=1).stderr == "align: no such model\n"
    assert names(folder) == {"a.png"}
    (folder / ".align").mkdir()
    (folder / ".align" / "mine").write_text("x")
    align("index", folder, status=1)
    assert (folder / ".align" / "mine").read_text() == "x"


def test_forgetting_does_what_it_can(album: Path) -> None:
    result = align("forget", "red.png", "nothing.png", status=1)
    assert result.stdout == "1 item forgotten\n"
    assert "align: the library knows nothing at nothing.png; check the spelling\n" in result.stderr


def test_a_remedy_can_be_pasted(album: Path) -> None:
    (album / "red.png").rename(album / "a red one.png")
    with Library.open(album) as library:
        library.index([], FakeEncoder)
    said = align("forget", "a red one.png").stderr
    assert f"`align index '{album}/a red one.png'` brings it back" in said


def test_an_interrupted_command_says_that_its_work_is_kept(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Library, "status", interrupt)
    said = align("status", status=130).stderr.strip()
    assert said == "align: interrupted; what was stored so far is kept"


def test_the_variable_that_named_a_model_is_named(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from encoder import CheckpointError

    def fail(name: str, *_: object) -> None:
        raise CheckpointError(f"{name} is not a checkpoint")

    monkeypatch.setattr("encoder.inference.load_encoder", fail)
    monkeypatch.setattr("encoder.load_encoder", fail, raising=False)
    monkeypatch.setenv("ALIGN_MODEL", "/gone")
    said = align("search", "red", status=1).stderr
    assert said == "align: /gone is not a checkpoint (ALIGN_MODEL is set to /gone)\n"


def test_hits_are_drawn_in_the_terminal(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = on_a_terminal(album, album, "search", "red", "-k", "1", "--preview")
    assert shown.splitlines()[0].split() == ["1", "1.000", "red.png"]
    assert shown.count("\u2580") > 20  # half blocks, of which the colours are pixels
    assert "38;2;254;0;0" in shown or "38;2;255;0;0" in shown or "38;5;" in shown
    monkeypatch.setitem(sys.modules, "textual_image", None)
    monkeypatch.setitem(sys.modules, "textual_image.renderable", None)
    said = align("search", "red", "--preview", status=2).stderr
    assert "pip install 'align-retrieval[preview]'" in said


def test_another_model_is_refused_before_it_is_fetched(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("encoder.load_encoder", lambda *_: pytest.fail("loaded"), raising=False)
    said = align("search", "red", "--model", "someone/else", status=1).stderr
    assert said == (
        "align: the library uses fake, and someone/else is not on this machine: leave out --model,"
        " or embed everything again with `align index --reembed --model someone/else`\n"
    )


def test_libraries_and_roots_are_shown_whole(album: Path) -> None:
    for command in ("status", "roots"):
        assert str(album) in align(command).stdout
