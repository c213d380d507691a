"""What `align train` reads, and what it computes of it once."""

import sys
from dataclasses import replace
from itertools import chain, starmap
from typing import TYPE_CHECKING, Literal

from retrieval.cli.output import ProgressBar, say
from retrieval.cli.training_options import ALIGN_MINI, Asked, Recipe
from retrieval.defaults import TEMPLATE

if TYPE_CHECKING:
    from encoder import Preprocessor
    from encoder.datasets import Dataset, PreparedPictures
    from encoder.training import (
        Augmentation,
        Classes,
        DrawnViews,
        KeptTexts,
        PairData,
        Start,
        Views,
    )


class TrainingData:
    """All that training reads, and the start that was fitted to it."""

    def __init__(
        self, asked: Asked, recipe: Recipe, dataset: "Dataset", start: "Start", cuda: bool
    ) -> None:
        from encoder.datasets import labelled_folder
        from encoder.training import (
            class_probabilities,
            fit_projections,
            keep_texts,
            phrases,
            read_classifier,
        )

        self._asked, self._start, self._cuda = asked, start, cuda
        self._bar = _Bar()
        self._augmentation = augmentation_of(asked, recipe, start)
        self._templates = asked.templates or (TEMPLATE, "{}")
        # What is wrong with any of these is said before pictures are decoded, which takes long.
        folders = [labelled_folder(folder) for folder in asked.labelled_folders]
        teacher = names = None
        if asked.classifier and asked.class_names:
            names = asked.class_names.read_text("utf-8").splitlines()
            teacher = read_classifier(asked.classifier, start.preprocessor.size[0])
        self._views = [self._drawn(dataset, "pictures")]
        if folders:
            examples = tuple(example for folder in folders for example in folder.examples)
            self._views.append(self._drawn(replace(folders[0], examples=examples), "labelled"))
        sets = list(zip(self._views, (("{}",), self._templates), strict=False))
        run = asked.out / "training"
        self.texts: KeptTexts | None = None
        if asked.image_tower or (asked.freeze == "towers" and asked.kept_views):
            every = [text for some in starmap(phrases, sets) for text in some]
            texts = keep_texts(start, chain.from_iterable(every), run / "texts.npy", self._bar)
            if asked.image_tower:
                fit_projections(start, sets, texts, run, self._bar)
            self.texts = texts if asked.freeze == "towers" and asked.kept_views else None
        self.classes: Classes | None = None
        if teacher and names is not None:
            path = run / "features-0.npy"
            self.classes = class_probabilities(teacher, names, self._views[0], path, self._bar)
        self._bar.finish()

    def pairs(self) -> "tuple[PairData, PairData | None]":
        """Pictures with captions, and pictures with labels."""
        from encoder.training import CaptionedPictures, LabelledPictures, SceneData, keep_views

        if self._asked.preset == ALIGN_MINI:
            return SceneData(self._views[0].pictures), None
        views: list[Views] = [*self._views]
        if self._asked.kept_views:
            views = [
                keep_views(
                    self._start,
                    drawn,
                    stages=self._still_stages(),
                    count=self._asked.kept_views,
                    path=self._asked.out / "training" / f"views-{number}.npy",
                    seed=self._asked.seed,
                    half=precision(self._asked, self._cuda) == "bfloat16",
                    progress=self._bar,
                )
                for number, drawn in enumerate(self._views)
            ]
        captioned, *labelled = views
        return CaptionedPictures(captioned), next(
            (LabelledPictures(some, self._templates) for some in labelled), None
        )

    def _still_stages(self) -> int:
        from encoder.training import still_stages

        stages = len(self._start.model.config.vision_config.num_block_repeats)
        return still_stages(self._asked.freeze, self._asked.frozen_stages, stages)

    def _drawn(self, dataset: "Dataset", name: str) -> "DrawnViews":
        from encoder.training import DrawnViews

        pictures = decoded(self._asked, dataset, self._augmentation.kept, name)
        return DrawnViews(pictures, self._augmentation)


def augmentation_of(asked: Asked, recipe: Recipe, start: "Start") -> "Augmentation":
    """How views are cut from pictures: as asked, else as the recipe has it."""
    from encoder.training import Augmentation

    crop = recipe.min_crop if asked.min_crop is None else asked.min_crop
    flip = recipe.flip if asked.flip is None else asked.flip
    return Augmentation(start.preprocessor, crop, flip)


def decoded(
    asked: Asked, dataset: "Dataset", preprocessor: "Preprocessor", name: str
) -> "PreparedPictures":
    from encoder.datasets import prepare_pictures

    bar = ProgressBar("picture")
    bar.start(len(dataset), f"decoding {name}")
    pictures = prepare_pictures(
        dataset,
        preprocessor,
        asked.out / "training" / name,
        allow_missing=asked.allow_missing,
        advance=bar.advance,
    )
    bar.finish()
    return pictures


def precision(asked: Asked, cuda: bool) -> Literal["float32", "bfloat16"]:
    return asked.precision or ("bfloat16" if cuda else "float32")


class _Bar(ProgressBar):
    """Progress of what is computed once and kept."""

    def __init__(self) -> None:
        super().__init__("row")
        self._what, self._done = "", 0

    def __call__(self, what: str, done: int, count: int) -> None:
        if what != self._what:
            self.start(count, f"computing {what}", done)
            if not sys.stderr.isatty() and done < count:
                say(f"computing {what}: {done:,} of {count:,} rows are done")
        else:
            self.advance(done - self._done)
        self._what, self._done = what, done
