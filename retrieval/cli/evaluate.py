"""`align evaluate`"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from encoder.datasets import DATASETS
from encoder.remembered import cache_folder
from retrieval.cli.options import checkpoint_option, device_option
from retrieval.cli.output import ProgressBar, print_json

COCO_FOLDS = 5
_DIGITS = 10


def _parse_ks(ctx: click.Context, param: click.Parameter, value: str) -> Sequence[int]:
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isdecimal() and len(part) < _DIGITS and int(part) for part in parts):
        raise click.BadParameter("takes whole numbers of at least 1, such as 1,5,10", ctx, param)
    return sorted({int(part) for part in parts})


_STDOUT = ("-", "/dev/stdout")


def _check_file(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    """Refuse a file that cannot be written before the run starts, not after it."""
    if path is None or str(path) in _STDOUT:
        return path
    folder = path.resolve().parent
    if not folder.is_dir():
        raise click.BadParameter(f"the folder {path.parent} does not exist", ctx, param)
    if not os.access(folder, os.W_OK) or path.is_dir():
        raise click.BadParameter(f"{path} cannot be written", ctx, param)
    return path


_OUTPUT = click.Path(path_type=Path, dir_okay=False, writable=True)


@click.command()
@click.argument("dataset", type=click.Choice(DATASETS))
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Folder of the pictures; by default the folder of the annotations.",
)
@click.option(
    "--annotations",
    type=click.Path(path_type=Path),
    help="File of the captions, in any common layout.",
)
@click.option(
    "--names",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File that lists the pictures of the split, one per line, if the captions do not.",
)
@click.option("--split", help="Split of the dataset, by default test; + joins several: train+val.")
@click.option("--pictures", type=click.IntRange(min=1), help="Use only the first so many pictures.")
@click.option(
    "--captions",
    type=click.Choice(["all", "first5"]),
    default="all",
    show_default=True,
    help="Captions of each picture to use.",
)
@click.option(
    "--folds", type=click.Choice(["5x1k"]), help="Mean over five blocks of 1,000 pictures."
)
@click.option(
    "--index",
    type=click.Choice(["exact", "flat", "ivf"]),
    default="exact",
    show_default=True,
    help="Also measure recall through an index, built as a library would build it.",
)
@click.option(
    "--k",
    "ks",
    default="1,5,10",
    show_default=True,
    metavar="K,...",
    callback=_parse_ks,
    help="The K of Recall@K.",
)
@click.option(
    "--json",
    "json_file",
    type=_OUTPUT,
    callback=_check_file,
    is_flag=False,
    flag_value="-",
    metavar="[FILE]",
    help="Print JSON, not a table; or also write the whole report to FILE, as JSON.",
)
@click.option(
    "--clip-benchmark", is_flag=True, help="Print the result file of the program of this name."
)
@click.option(
    "--plot",
    "plot_file",
    type=_OUTPUT,
    callback=_check_file,
    help="Also write curves, ranks and the worst misses to this HTML file.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    default=cache_folder,
    show_default="~/.cache/align-retrieval",
    help="Folder that keeps embeddings: a second run takes seconds.",
)
@click.option("--allow-missing", is_flag=True, help="Leave out pictures that cannot be read.")
@checkpoint_option
@device_option
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Pictures to embed and keep at once.",
)
def command(
    dataset: str,
    images: Path | None,
    annotations: Path | None,
    names: Path | None,
    split: str | None,
    pictures: int | None,
    captions: Literal["all", "first5"],
    folds: str | None,
    index: Literal["exact", "flat", "ivf"],
    ks: Sequence[int],
    json_file: Path | None,
    clip_benchmark: bool,
    plot_file: Path | None,
    cache: Path,
    allow_missing: bool,
    model: str,
    device: str,
    batch_size: int,
) -> None:
    """Measure Recall@K of a model on DATASET, text to image and image to text.

    scenes are drawn and need no files; custom means your own pictures with captions. Embeddings are
    kept, so the same run takes seconds the next time and gives the same figures.

    \b
      align evaluate scenes --pictures 500 --model align-mini
      align evaluate flickr30k --images flickr30k-images --annotations dataset_flickr30k.json
      align evaluate coco --images coco --annotations dataset_coco.json --folds 5x1k
    """
    from encoder import load_named_encoder
    from encoder.datasets import open_dataset
    from retrieval.evaluation import check, evaluate
    from retrieval.evaluation.output import table, to_clip_benchmark, to_json, write_report

    as_json = str(json_file) in _STDOUT
    if as_json and clip_benchmark:
        raise click.UsageError("--json and --clip-benchmark exclude each other: give one.")
    json_file = None if as_json else json_file
    if str(plot_file) in _STDOUT:
        raise click.UsageError("--plot needs the name of a file.")
    opened = open_dataset(
        dataset, annotations=annotations, images=images, split=split, names=names, limit=pictures
    )
    if json_file and plot_file and json_file.resolve() == plot_file.resolve():
        raise click.UsageError("--json and --plot name the same file.")
    blocks = COCO_FOLDS if folds else 1
    check(opened, folds=blocks, allow_missing=allow_missing)
    evaluation = evaluate(
        load_named_encoder(model, device),
        opened,
        captions=captions,
        folds=blocks,
        index=index,
        ks=ks,
        cache=cache,
        allow_missing=allow_missing,
        batch_size=batch_size,
        progress=ProgressBar(),
    )
    if as_json or clip_benchmark:
        print_json((to_json if as_json else to_clip_benchmark)(evaluation.report))
    else:
        click.echo(table(evaluation.report))
    if json_file:
        write_report(json_file, json.dumps(to_json(evaluation.report), indent=2) + "\n")
    if plot_file:
        from retrieval.evaluation.page import write_page

        write_page(plot_file, evaluation, opened)
