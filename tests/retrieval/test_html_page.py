"""The head that both pages share: it can be read, by day and by night."""

import re
from pathlib import Path

import pytest

from retrieval.contact_sheet import page as contact_sheet
from retrieval.evaluation import page as evaluation_page
from retrieval.html_page import DARK, LIGHT, escape, page


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb``, as WCAG 2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_contrast_by_hand() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
@pytest.mark.parametrize("name", ["ink", "faint", "s0", "s1"])
def test_words_stand_out_from_the_paper(palette: dict[str, str], name: str) -> None:
    assert contrast(palette[name], palette["paper"]) >= 4.5  # WCAG 2, level AA


def test_a_page_has_both_palettes_and_one_escaped_title() -> None:
    made = page("<b> & co", "<p>body</p>", style="b { color: red; }", images="data:")
    assert "<title>&lt;b&gt; &amp; co</title>" in made
    assert "<p>body</p>" in made
    day, night = re.findall(r":root \{(?: color-scheme: light dark;)? (--paper[^}]*) \}", made)
    for css, palette in ((day, LIGHT), (night, DARK)):
        assert dict(re.findall(r"--(\w+): (#\w+);", css)) == palette
    assert made.index("prefers-color-scheme: dark") > made.index(day)  # the later rule wins
    assert made.index("b { color: red; }") > made.index(night)
    assert "default-src 'none'; img-src data:;" in made


def test_every_colour_that_a_page_uses_is_in_both_palettes() -> None:
    for style in (contact_sheet("t", [], Path()), evaluation_page._STYLE):
        used = set(re.findall(r"var\(--(\w+)\)", style))
        assert used
        assert used <= set(LIGHT) == set(DARK)
        assert not re.findall(r"#[0-9a-f]{3,6}", re.sub(r"--\w+: #\w+;", "", style))


def test_escaped_text_closes_nothing() -> None:
    assert escape("""<a href="x">'&""") == "&lt;a href=&quot;x&quot;&gt;&#x27;&amp;"
