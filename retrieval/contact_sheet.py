"""A contact sheet of answers, as a picture and as an HTML page."""

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from urllib.parse import quote

from PIL import Image, ImageDraw, ImageFont, ImageOps

from encoder import PictureError, read_picture
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


def page(title: str, answers: Sequence[Answer], folder: Path, intro: str = "") -> str:
    """The same as an HTML page that lies in `folder`: it holds small pictures, each of which points
    to its file from there, with name, date, camera and caption."""
    rows = "\n".join(_row(answer, folder) for answer in answers)
    body = f"<h1>{escape(title)}</h1>\n<p>{escape(intro)}</p>\n<main>{rows}</main>"
    return html_page.page(title, body, style=_STYLE, images="data:")


def _row(answer: Answer, folder: Path) -> str:
    figures = "".join(_figure(hit, folder) for hit in answer.hits)
    found = f"<ol>{figures}</ol>" if figures else "<p>Nothing found.</p>"
    return f"<section><h2>{escape(answer.query or 'Newest first')}</h2>{found}</section>"


def _figure(hit: Hit, folder: Path) -> str:
    where = quote(os.fsencode(os.path.relpath(hit.path, folder)))
    name = _text(hit.path.name)
    said = _text(hit.text or hit.path.name)
    score = "" if isnan(hit.score) else f"{hit.score:.3f}"
    more = [
        *([f"{hit.taken_at:%Y-%m-%d %H:%M}"] if hit.taken_at else []),
        *([f"{hit.width} x {hit.height}"] if hit.width else []),
        *([hit.camera] if hit.camera else []),
    ]
    lines = [name, *([_text(hit.text)] if hit.text else []), _text(" · ".join(more))]
    below = "".join(f"<span>{line}</span>" for line in lines if line)
    return (
        f'<li><figure><a href="{where}" title="{_text(str(hit.path))}">{_thumbnail(hit, said)}</a>'
        f"<figcaption><b>{hit.rank}</b> {score}{below}</figcaption></figure></li>"
    )


def notebook_table(hits: Sequence[Hit]) -> str:
    """Hits as a table that brings its pictures along and takes the colours around it."""
    if not hits:
        return "<p>Nothing found.</p>"
    rows = "".join(
        f"<tr><td>{hit.rank}</td><td>{'' if isnan(hit.score) else f'{hit.score:.3f}'}</td>"
        f"<td>{_thumbnail(hit, _text(hit.text or hit.path.name), 160)}</td>"
        f"<td>{_text(hit.text or '')}</td><td>{_text(str(hit.path))}</td></tr>"
        for hit in hits
    )
    names = "".join(f"<th>{name}</th>" for name in ("rank", "score", "picture", "text", "path"))
    return f"<table><thead><tr>{names}</tr></thead><tbody>{rows}</tbody></table>"


def _text(text: str) -> str:
    return escape(text.encode("utf-8", "surrogateescape").decode(errors="replace"))


def _thumbnail(hit: Hit, said: str, side: int = 2 * SIDE) -> str:
    if hit.kind == "text":
        return ""
    try:
        picture = read_picture(hit.path).image
    except (PictureError, OSError):
        return f'<span class="gone">{said} cannot be read now</span>'
    picture.thumbnail((side, side))
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=80)
    data = base64.b64encode(file.getvalue()).decode()
    width, height = picture.size
    return (
        f'<img src="data:image/webp;base64,{data}" width="{width}" height="{height}" alt="{said}">'
    )


_STYLE = f"""\
li {{ width: {SIDE}px; }}
figure {{ margin: 0; }}
figcaption {{ font-size: .85rem; margin-top: .35rem; overflow-wrap: anywhere; }}
img, .gone {{ border-radius: 6px; height: {SIDE}px; object-fit: cover; width: {SIDE}px; }}
.gone {{ align-items: center; background: var(--tile); display: flex; text-align: center; }}
a:focus-visible {{ outline: 3px solid var(--s0); outline-offset: 2px; }}
"""
