"""`align classify`"""

from pathlib import Path

import click

from encoder.errors import PictureError
from retrieval.cli.label_options import label_options
from retrieval.cli.names import printable, shown
from retrieval.cli.opening import load_here, say_notes
from retrieval.cli.options import device_option, json_option, library_option, model_option
from retrieval.cli.output import print_json, say, say_limits


@click.command()
@click.argument(
    "files", metavar="FILE...", type=click.Path(path_type=Path), nargs=-1, required=True
)
@label_options
@json_option
@library_option
@model_option
@device_option
def command(
    files: tuple[Path, ...],
    labels: list[str],
    cutoffs: dict[str, float],
    templates: list[str],
    none: bool,
    as_json: bool,
    library: Path | None,
    model: str | None,
    device: str,
) -> int:
    """Say which label describes each picture FILE best. Prints probability, label and path.

    The probabilities of a picture add up to 1 over the labels given; --json prints them all. A
    label with a number is judged by itself: it is printed with its cosine if that is large enough.
    The pictures need not be in the library, of which the model alone is used; without a library
    here the default model is.

    \b
      align classify holiday/*.jpg --labels beach,mountains,city
      align classify holiday/*.jpg --labels beach
      align classify holiday/*.jpg --labels beach:0.22,sunset:0.25
    """
    from encoder import Decoders
    from retrieval.classification import NONE, Judge

    encoder = load_here(library, model, device)
    say_limits(encoder.name)
    say_notes(encoder, [*labels, *cutoffs])
    judge = Judge(encoder, labels, cutoffs, templates, none=none)
    width = max(map(len, [*judge.labels, *cutoffs, *([NONE] if not labels else [])]))
    failed = 0
    with Decoders() as decoders:
        for file in files:
            try:
                scores, cosines = judge(file, decoders)
            except PictureError as error:
                say(f"align: {error}")
                failed += 1
                continue
            tags = [label for label, cosine in cosines.items() if cosine >= cutoffs[label]]
            best = max(scores, key=scores.__getitem__, default=None)
            if as_json:
                said = {"path": file.absolute(), "label": best, "scores": scores}
                print_json({**said, "cosines": cosines, "tags": tags})
                continue
            rows: list[tuple[float | None, str]] = [(scores[best], best)] if best else []
            rows += [(cosines[label], label) for label in tags]
            for score, label in rows or [(None, NONE)]:
                number = "    -" if score is None else f"{score:.3f}"
                click.echo(f"{number}  {printable(label):<{width}}  {shown(file)}")
    return int(failed > 0)
