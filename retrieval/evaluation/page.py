"""An evaluation as one HTML file that needs nothing else: figures, curves, and the worst misses."""

import base64
import io
from pathlib import Path

from encoder import Decoders, PictureError
from encoder.datasets import Dataset, make_thumbnail
from retrieval import html_page
from retrieval.evaluation.charts import Ranks, rank_histogram, recall_curves
from retrieval.evaluation.output import DIRECTIONS, columns, facts, lines, rsum, write_report
from retrieval.evaluation.report import Evaluation, Miss, Report
from retrieval.html_page import escape

SIDE = 160
"""Pixels of the longer side of a thumbnail."""
FIGURE_SPACE = "\N{FIGURE SPACE}"

TO_IMAGE, TO_TEXT = (name.replace("->", "\N{RIGHTWARDS ARROW}") for name in DIRECTIONS.values())


def write_page(path: Path, evaluation: Evaluation, dataset: Dataset) -> None:
    """Write the page of an evaluation of `dataset` to `path`, whole or not at all.

    Pictures that cannot be opened any more are shown by their names. Raises OSError where `path`
    cannot be written.
    """
    write_report(path, _page(evaluation, dataset))


def _page(evaluation: Evaluation, dataset: Dataset) -> str:
    report = evaluation.report
    texts, images = evaluation.text_ranks, evaluation.image_ranks
    pooled = " Ranks are those within the folds." if report.folds > 1 else ""
    title = f"{report.model} on {report.dataset}, {report.split}"
    body = "\n".join(
        [
            f"<h1>{escape(title)}</h1>",
            f"<p>{report.images:,} images, {report.captions:,} captions</p>",
            _figures(report),
            "<h2>Recall at K</h2>",
            f"<p>The share of queries with a right answer among the first K.{pooled}</p>",
            f"<figure>{recall_curves({TO_IMAGE: texts, TO_TEXT: images})}</figure>",
            "<h2>Ranks</h2>",
            '<div class="pair">',
            _histogram(TO_IMAGE, "captions", texts, 0),
            _histogram(TO_TEXT, "images", images, 1),
            "</div>",
            _misses(evaluation.misses, dataset),
            "<h2>What was measured</h2>",
            _facts(report),
        ]
    )
    return html_page.page(title, body, style=_STYLE, images="data:")


def _figures(report: Report) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in columns(report))
    rows = []
    for line in lines(report):
        name = escape(line.name.replace("->", "\N{RIGHTWARDS ARROW}"))
        # A browser would drop the space that keeps decimal points in line.
        cells = "".join(f"<td>{cell.replace(' ', FIGURE_SPACE)}</td>" for cell in line.cells)
        kind = ' class="below"' if line.below else ""
        rows.append(f'<tr{kind}><th scope="row">{name}</th>{cells}</tr>')
    return (
        f'<div class="wide"><table><tr><th>recall in %</th>{head}</tr>{"".join(rows)}</table></div>'
        f"<p>{escape(rsum(report))}</p>"
        + "".join(f'<p class="note">{escape(note)}</p>' for note in report.notes)
    )


def _histogram(name: str, unit: str, ranks: Ranks, side: int) -> str:
    return f"<figure><h3>{name}</h3>{rank_histogram(name, unit, ranks, side)}</figure>"


def _facts(report: Report) -> str:
    rows = (f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts(report))
    return f"<dl>{''.join(rows)}</dl>"


def _misses(misses: tuple[Miss, ...], dataset: Dataset) -> str:
    if not misses:
        return ""
    with Decoders() as decoders:
        shown = dict.fromkeys(example for miss in misses for example in (miss.image, *miss.first))
        thumbnails = {example: _thumbnail(decoders, dataset, example) for example in shown}

    def picture(example: int, label: str, kind: str) -> str:
        return f'<li class="{kind}">{thumbnails[example]}<span>{label}</span></li>'

    rows = []
    for miss in misses:
        right = picture(miss.image, f"right, rank {miss.rank:,}", "right")
        first = (picture(example, f"{i}", "first") for i, example in enumerate(miss.first, 1))
        rows.append(f"<h3>{escape(miss.caption)}</h3><ol>{right}{''.join(first)}</ol>")
    return (
        "<h2>The worst misses</h2><p>Captions whose image came late: the right image, then those"
        f" that came first.</p>\n{''.join(rows)}"
    )


def _thumbnail(decoders: Decoders, dataset: Dataset, example: int) -> str:
    picture = dataset.examples[example].picture
    name = escape(picture.name)
    try:
        image = make_thumbnail(decoders, picture, SIDE)
    except PictureError:
        return f'<div class="gone">{name}</div>'
    data = io.BytesIO()
    image.save(data, "JPEG", quality=80)
    text = base64.b64encode(data.getvalue()).decode()
    return (
        f'<img src="data:image/jpeg;base64,{text}" width="{image.width}" height="{image.height}"'
        f' alt="{name}" title="{name}">'
    )


_STYLE = f"""\
h3 {{ font-size: 1rem; font-weight: 600; margin: 1.4rem 0 .5rem; overflow-wrap: anywhere; }}
p.note {{ border-left: 3px solid var(--s1); color: var(--ink); padding-left: .6rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1rem 0; }}
th, td {{ padding: .3rem .9rem; text-align: right; white-space: nowrap; }}
th {{ font-weight: 600; }}
th:first-child {{ padding-left: 0; text-align: left; }}
tr:first-child th {{ border-bottom: 1px solid var(--faint); color: var(--faint);
 font-weight: 400; }}
tr.below th {{ font-weight: 400; padding-left: 1.2rem; }}
tr.below {{ color: var(--faint); }}
figure {{ margin: .6rem 0; }}
.pair {{ display: flex; flex-wrap: wrap; gap: 0 3rem; }}
.pair figure {{ flex: 1 1 360px; }}
svg {{ display: block; font-size: 13px; height: auto; width: 100%; }}
text {{ fill: var(--ink); }}
.tick, .label {{ fill: var(--faint); }}
.end {{ text-anchor: end; }}
.middle {{ text-anchor: middle; }}
.grid {{ stroke: var(--grid); }}
.axis {{ stroke: var(--faint); }}
.line {{ fill: none; stroke-width: 2.5; }}
.line.s0 {{ stroke: var(--s0); }}
.line.s1 {{ stroke: var(--s1); stroke-dasharray: 7 4; }}
.dot.s0, .bar.s0, .name.s0 {{ fill: var(--s0); }}
.dot.s1, .bar.s1, .name.s1 {{ fill: var(--s1); }}
.name {{ font-weight: 600; }}
li {{ width: {SIDE}px; }}
img, .gone {{ height: {SIDE}px; object-fit: contain; width: {SIDE}px; }}
.gone {{ background: var(--tile); border-radius: 6px; box-sizing: border-box; color: var(--faint);
 font-size: .8rem; overflow: hidden; overflow-wrap: anywhere; padding: .6rem; }}
.right img, .right .gone {{ outline: 3px solid var(--s0); outline-offset: 2px; }}
.right {{ margin-right: 1rem; }}
.right span {{ color: var(--s0); font-weight: 600; }}
dl {{ display: grid; gap: .2rem 1rem; grid-template-columns: max-content 1fr; }}
dt {{ color: var(--faint); }}
dd {{ margin: 0; overflow-wrap: anywhere; }}
"""
