"""Answers to look at: a contact sheet as a picture, and as a page."""

import html
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from PIL import Image, ImageDraw, ImageFont, ImageOps

from encoder import read_picture
from retrieval.results import Hit

SIDE = 200
GAP = 16
HEADING = 44
CAPTION = 28
PAPER, INK, FAINT = "#faf9f6", "#22252a", "#7a7f87"


@dataclass(frozen=True)
class Answer:
    """A question and its hits, all of them pictures."""

    query: str
    hits: Sequence[Hit]


def draw_sheet(answers: Sequence[Answer]) -> Image.Image:
    """One row an answer: the query, then its pictures with their scores, best first; RGB."""
    columns = max((len(answer.hits) for answer in answers), default=0)
    row = HEADING + SIDE + CAPTION
    width = GAP + max(columns, 2) * (SIDE + GAP)
    sheet = Image.new("RGB", (width, GAP + len(answers) * (row + GAP)), PAPER)
    pen = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(24), ImageFont.load_default(15)
    for i, answer in enumerate(answers):
        top = GAP + i * (row + GAP)
        pen.text((GAP, top + 4), answer.query, INK, large)
        for j, hit in enumerate(answer.hits):
            left = GAP + j * (SIDE + GAP)
            picture = ImageOps.fit(read_picture(hit.path).image, (SIDE, SIDE))
            sheet.paste(picture, (left, top + HEADING))
            label = f"{hit.rank}   {hit.score:.3f}"
            pen.text((left, top + HEADING + SIDE + 6), label, FAINT, small)
    return sheet


def page(answers: Sequence[Answer], folder: Path) -> str:
    """The same as an HTML page that stands in `folder` and points to the pictures from there."""
    return _PAGE.replace("ROWS", "".join(_row(answer, folder) for answer in answers))


def _row(answer: Answer, folder: Path) -> str:
    figures = "".join(_figure(hit, folder) for hit in answer.hits)
    return f"<h2>{html.escape(answer.query)}</h2><ol>{figures}</ol>\n"


def _figure(hit: Hit, folder: Path) -> str:
    where = quote(os.fsencode(os.path.relpath(hit.path, folder)))
    name = html.escape(hit.path.name)
    return (
        f'<li><a href="{where}"><img src="{where}" alt="{name}" loading="lazy"></a>'
        f"<span>{hit.rank} &nbsp; {hit.score:.3f}</span></li>"
    )


_PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>align demo: five questions</title>
<style>
body {{ background: {PAPER}; color: {INK}; font: 16px/1.4 system-ui, sans-serif; margin: 2rem; }}
h2 {{ font-size: 1.3rem; font-weight: 600; margin: 2rem 0 .6rem; }}
ol {{ display: flex; flex-wrap: wrap; gap: 1rem; list-style: none; margin: 0; padding: 0; }}
img {{ border-radius: 6px; display: block; height: {SIDE}px; object-fit: cover; width: {SIDE}px; }}
span {{ color: {FAINT}; font-size: .9rem; }}
</style>
<h1>Found by meaning</h1>
<p>Every picture below was found by its pixels alone; the numbers are rank and score.</p>
ROWS
</html>
"""
