"""`align classify`"""

from pathlib import Path

import click

from encoder.errors import PictureError
from retrieval.cli.label_options import label_options
from retrieval.cli.options import checkpoint_option, device_option, json_option
from retrieval.cli.output import print_json, say


@click.command()
@click.argument(
    "files", metavar="FILE...", type=click.Path(path_type=Path), nargs=-1, required=True
)
@label_options
@json_option
@checkpoint_option
@device_option
def command(
    files: tuple[Path, ...],
    labels: list[str],
    templates: list[str],
    as_json: bool,
    model: str,
    device: str,
) -> int:
    """Say which label describes each picture FILE best. Prints probability, label and path.

    The probabilities of a picture add up to 1 over the labels given; --json prints them all.

    \b
      align classify holiday/*.jpg --labels beach,mountains,city
    """
    from encoder import Decoders, load_encoder
    from retrieval.classification import label_embeddings, label_scores

    encoder = load_encoder(model, device)
    texts = label_embeddings(encoder, labels, templates)
    failed = 0
    with Decoders() as decoders:
        for file in files:
            try:
                (found,) = label_scores(encoder, decoders, [file], labels, texts)
            except PictureError as error:
                say(f"align: {error}")
                failed += 1
                continue
            best = found[0]
            if as_json:
                scores = {score.label: score.probability for score in found}
                print_json({"path": str(file.absolute()), "label": best.label, "scores": scores})
            else:
                click.echo(f"{best.probability:.3f}  {best.label}  {click.format_filename(file)}")
    return int(failed > 0)
