"""What all HTML pages share: palette, CSS and escaping. A page runs no scripts and loads nothing
from the network; it follows the reader's choice of a light or a dark screen."""

import html

LIGHT = {
    "paper": "#faf9f6",
    "ink": "#22252a",
    "faint": "#666b73",
    "grid": "#e2e0da",
    "tile": "#efede7",
    "s0": "#0072b2",
    "s1": "#b84a00",
}
"""CSS colours by name. ``s0`` and ``s1`` tell two series of a chart apart, also for readers who
cannot tell red from green."""

DARK = {
    "paper": "#17191c",
    "ink": "#e6e4df",
    "faint": "#9a9fa8",
    "grid": "#33373d",
    "tile": "#24272c",
    "s0": "#56b4e9",
    "s1": "#e69f00",
}


def escape(text: str) -> str:
    """`text` as it may stand in an element or in a quoted attribute."""
    return html.escape(text)


def page(title: str, body: str, *, style: str, images: str) -> str:
    """A whole page: `title` as plain text, `body` as HTML, `style` as CSS beyond the common rules.

    `images` is what the page may show pictures from, as a source list of a Content Security Policy:
    ``data:`` for a page that holds its pictures, ``'self' file:`` for one that lies beside them.
    """
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src {images}; style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>
{_STYLE}{style}</style>
{body}
</html>
"""


def _variables(colours: dict[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())


_STYLE = f"""\
:root {{ color-scheme: light dark; {_variables(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}
body {{ background: var(--paper); color: var(--ink); font: 16px/1.45 system-ui, sans-serif;
 margin: 2rem auto; max-width: 1120px; padding: 0 1.25rem; }}
h1 {{ font-size: 1.6rem; }}
h2 {{ font-size: 1.25rem; margin: 2.4rem 0 .4rem; overflow-wrap: anywhere; }}
p {{ color: var(--faint); margin: .4rem 0; }}
ol {{ display: flex; flex-wrap: wrap; gap: .75rem; list-style: none; margin: 0; padding: 0; }}
img {{ background: var(--tile); border-radius: 6px; display: block; }}
li span {{ color: var(--faint); display: block; font-size: .85rem; margin-top: .35rem; }}
"""
