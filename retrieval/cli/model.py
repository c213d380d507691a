"""`align model`"""

from pathlib import Path
from typing import Any

import click

from retrieval.cli.options import device_option, json_option
from retrieval.cli.output import print_json, say
from retrieval.defaults import DEFAULT_MODEL


@click.group(invoke_without_command=False)
def command() -> None:
    """Check a model."""


@command.command()
@click.argument("name", default=DEFAULT_MODEL)
@click.option(
    "--picture",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="For kakaobrain/align-base: the picture 000000039769.jpg of COCO val2017.",
)
@json_option
@device_option
def check(name: str, picture: Path | None, as_json: bool, device: str) -> int:
    """Say whether this installation computes what the model NAME is known to give: tokens of two
    texts, and their logits for a picture, in torch and in OpenVINO if that is installed.

    Values are known of kakaobrain/align-base, which is the default, align-small and align-mini.
    """
    from encoder import HubError, load_encoder
    from encoder.proof import ALIGN_BASE, PICTURE_OF_ALIGN_BASE, findings, known_of

    known_of(name)
    try:
        encoder = load_encoder(name, device)
    except HubError as error:
        raise HubError(
            f"{name} is not whole on this machine and the hub cannot be reached: try again with a"
            " network, or check another model, as in align model check align-small"
        ) from error
    wrong = 0
    for finding in findings(encoder, picture):
        wrong += not finding.right
        if as_json:
            print_json({"model": name, **vars(finding)})
            continue
        click.echo(f"{'right' if finding.right else 'WRONG'}  {finding.what}")
        if not finding.right:
            click.echo(f"       found  {_shown(finding.found)}")
            click.echo(f"       wanted {_shown(finding.wanted)}")
    if name == ALIGN_BASE and picture is None:
        say(f"logits were not compared: give --picture FILE with {PICTURE_OF_ALIGN_BASE}")
    if wrong:
        say(
            "align: this installation computes something else than it must: install"
            " align-retrieval and torch again, or report it with what --json prints"
        )
    return int(wrong > 0)


def _shown(values: Any) -> str:
    return " ".join(f"{v:.4f}" if isinstance(v, float) else str(v) for v in values)
