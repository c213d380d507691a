"""A contact sheet of answers, as a picture and as an HTML page."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from PIL import Image, ImageDraw, ImageFont, ImageOps

from encoder import read_picture
from retrieval import html_page
from retrieval.html_page import LIGHT, escape
from retrieval.results import Hit

SIDE = 200
GAP = 16
HEADING = 44
CAPTION = 28


@dataclass(frozen=True)
class Answer:
    """A question and its hits, all of them pictures."""

    query: str
    hits: Sequence[Hit]


def draw_sheet(answers: Sequence[Answer]) -> Image.Image:
    """Draw a row for each answer: the query, then its pictures with rank and score; RGB."""
    columns = max((len(answer.hits) for answer in answers), default=0)
    row = HEADING + SIDE + CAPTION
    width = GAP + max(columns, 2) * (SIDE + GAP)
    size = width, GAP + len(answers) * (row + GAP)
    sheet = Image.new("RGB", size, LIGHT["paper"])
    pen = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(24), ImageFont.load_default(15)
    for i, answer in enumerate(answers):
        top = GAP + i * (row + GAP)
        pen.text((GAP, top + 4), answer.query, LIGHT["ink"], large)
        for j, hit in enumerate(answer.hits):
            left = GAP + j * (SIDE + GAP)
            picture = ImageOps.fit(read_picture(hit.path).image, (SIDE, SIDE))
            sheet.paste(picture, (left, top + HEADING))
            label = f"{hit.rank}   {hit.score:.3f}"
            pen.text((left, top + HEADING + SIDE + 6), label, LIGHT["faint"], small)
    return sheet


def page(answers: Sequence[Answer], folder: Path) -> str:
    """The same as an HTML page that lies in `folder` and points to the pictures from there."""
    rows = "\n".join(_row(answer, folder) for answer in answers)
    body = f"""\
<h1>Found by meaning</h1>
<p>Every picture below was found by its pixels alone; the numbers are rank and score.</p>
{rows}"""
    return html_page.page("align demo: five questions", body, style=_STYLE, images="'self' file:")


def _row(answer: Answer, folder: Path) -> str:
    figures = "".join(_figure(hit, folder) for hit in answer.hits)
    return f"<h2>{escape(answer.query)}</h2><ol>{figures}</ol>"


def _figure(hit: Hit, folder: Path) -> str:
    where = quote(os.fsencode(os.path.relpath(hit.path, folder)))
    name = escape(hit.path.name)
    return (
        f'<li><a href="{where}"><img src="{where}" alt="{name}" loading="lazy"></a>'
        f"<span>{hit.rank} &nbsp; {hit.score:.3f}</span></li>"
    )


_STYLE = f"img {{ height: {SIDE}px; object-fit: cover; width: {SIDE}px; }}\n"
