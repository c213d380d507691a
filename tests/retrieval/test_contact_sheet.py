import base64
import io
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from PIL import Image

from encoder.fake import COLOURS
from retrieval.contact_sheet import CAPTION, GAP, HEADING, SIDE, Answer, draw_sheet, page
from retrieval.results import Hit


@pytest.fixture
def answers(tmp_path: Path) -> list[Answer]:
    hits = []
    for rank, name in enumerate(("red", "green", "blue & <white>"), 1):
        path = tmp_path / "pictures" / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (60, 30), COLOURS[name.split()[0]]).save(path)
        hits.append(Hit(rank, 1 - rank / 10, rank, "image", path, None, None, 60, 30))
    return [Answer("red <b>things</b>", hits), Answer("none of them", hits[:1])]


def test_the_sheet_shows_every_hit_in_its_place(answers: list[Answer]) -> None:
    sheet = draw_sheet(answers)
    row = HEADING + SIDE + CAPTION
    assert sheet.size == (GAP + 3 * (SIDE + GAP), GAP + 2 * (row + GAP))
    first, second = GAP + HEADING + SIDE // 2, GAP + row + GAP + HEADING + SIDE // 2
    centres = [GAP + SIDE // 2 + i * (SIDE + GAP) for i in range(3)]
    assert [sheet.getpixel((x, first)) for x in centres] == [
        COLOURS[name] for name in ("red", "green", "blue")
    ]
    paper = sheet.getpixel((0, 0))
    assert [sheet.getpixel((x, second)) for x in centres] == [COLOURS["red"], paper, paper]


def test_the_sheet_writes_query_and_scores(answers: list[Answer]) -> None:
    sheet = draw_sheet(answers)

    def ink(left: int, top: int, width: int, height: int) -> int:
        box = sheet.crop((left, top, left + width, top + height)).convert("L")
        return sum(box.histogram()[:160])

    assert ink(GAP, GAP, SIDE, HEADING) > 100
    assert ink(GAP, GAP + HEADING + SIDE, SIDE, CAPTION) > 40
    assert ink(GAP + SIDE + 1, GAP + HEADING, GAP - 2, SIDE) == 0


class Collect(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.links: list[dict[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attributes))
        if tag == "a":
            self.links.append(dict(attributes))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_holds_small_pictures_and_points_to_the_files(
    answers: list[Answer], tmp_path: Path
) -> None:
    found = Collect()
    found.feed(page("Hits", answers, tmp_path))
    places = [unquote_to_bytes(link["href"] or "").decode() for link in found.links]
    assert [tmp_path / place for place in places] == [
        hit.path for answer in answers for hit in answer.hits
    ]
    for image, colour in zip(found.images, ("red", "green", "blue", "red"), strict=True):
        data = base64.b64decode((image["src"] or "").removeprefix("data:image/webp;base64,"))
        thumbnail = Image.open(io.BytesIO(data)).convert("RGB")
        assert thumbnail.size == (60, 30) == (int(image["width"] or 0), int(image["height"] or 0))
        assert np.abs(np.asarray(thumbnail)[15, 30] - np.array(COLOURS[colour])).max() < 8
    assert found.images[2]["alt"] == "blue & <white>.png"
    text = "".join(found.text)
    for part in ("red <b>things</b>", "0.900", "60 x 30", "red.png"):
        assert part in text


def test_a_page_says_what_cannot_be_shown(answers: list[Answer], tmp_path: Path) -> None:
    answers[0].hits[1].path.unlink()
    made = page("Hits", [answers[0], Answer("nothing", [])], tmp_path)
    assert "green.png cannot be read now" in made
    assert "Nothing found." in made
