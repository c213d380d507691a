"""Checkpoints on the Hugging Face hub: what is here already, and what must be fetched."""

from pathlib import Path

from encoder.errors import CheckpointError, HubError
from encoder.weights import INDEX, WEIGHTS, Weights

NEEDED = (
    ("config.json",),
    ("preprocessor_config.json", "processor_config.json"),
    ("tokenizer.json", "vocab.txt"),
)
"""The files of a checkpoint beside its weights; one of each line is enough."""
PATTERNS = (*(name for names in NEEDED for name in names), WEIGHTS, INDEX, "model-*.safetensors")
"""What is fetched."""


def fetch(repo: str, revision: str | None) -> tuple[Path, str]:
    """The folder of a model with a hub id, and the commit that it came from. The hub is asked only
    if a file is not on this machine. Raises HubError or CheckpointError with the remedy."""
    import huggingface_hub
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    def snapshot(local: bool) -> Path:
        return Path(
            huggingface_hub.snapshot_download(
                repo, revision=revision, allow_patterns=list(PATTERNS), local_files_only=local
            )
        )

    def unreachable(error: Exception, lacking: str | None) -> HubError:
        first = ", ".join(names[0] for names in NEEDED)
        here = f"is on this machine without {lacking}" if lacking else "is not on this machine"
        return HubError(
            f"{repo} {here} and the hub cannot be reached"
            f" ({type(error).__name__}): use --model align-small, which comes with the package, or"
            f" put {first}, {WEIGHTS} of {repo} into a folder and give its path as --model"
        )

    before = None
    try:
        path = snapshot(local=True)
        before = _lacking(path)
        if before is None:
            return path, path.name
    except HFValidationError as error:
        raise CheckpointError(f"{repo} is neither a folder nor a hub id: {error}") from error
    except LocalEntryNotFoundError:
        pass
    try:
        path = snapshot(local=False)
        lacking = _lacking(path)
        if lacking:  # without a network the client returns what it has, and says nothing
            huggingface_hub.hf_hub_download(repo, lacking, revision=revision)
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        at = f" at revision {revision}" if revision else ""
        raise HubError(
            f"the hub has no model {repo}{at}: check the name, or give the path of a local folder"
        ) from error
    except LocalEntryNotFoundError as error:
        raise unreachable(error, before) from error
    except EntryNotFoundError as error:
        if lacking == WEIGHTS:
            raise CheckpointError(
                f"{repo} on the hub has no {WEIGHTS}; pickled weights can run any code and are"
                " never loaded: choose a revision that has it"
            ) from error
        raise CheckpointError(
            f"{repo} on the hub is not a checkpoint: it has no {lacking}"
        ) from error
    except Exception as error:  # the hub's client raises a dozen types when it is offline
        raise unreachable(error, before) from error
    return path, path.name


def _lacking(path: Path) -> str | None:
    """The first file that a checkpoint in the folder `path` lacks."""
    for names in NEEDED:
        if not any((path / name).exists() for name in names):
            return names[0]
    if (path / WEIGHTS).exists():
        return None
    if not (path / INDEX).exists():
        return WEIGHTS
    return next((file.name for file in Weights.shards(path / INDEX) if not file.exists()), None)
