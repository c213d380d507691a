"""Encoders by name: factories, entry points, and dual encoders of transformers."""

import io
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from encoder import EncoderError, FakeEncoder, load_named_encoder
from encoder.fitting import Fitting
from encoder.named import GROUP, is_factory
from encoder.transformers_encoder import TransformersEncoder


def make_fake(device):
    return FakeEncoder(f"fake on {device}")


def make_nothing(device):
    return object()


def make_trouble(device):
    raise RuntimeError("no such\nweights")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("colours:load", True),
        ("my.models:make_it", True),
        ("transformers:google/siglip2-base-patch16-224", False),
        ("transformers:clip", False),
        ("kakaobrain/align-base", False),
        ("align-mini", False),
        ("C:\\models", False),
        ("1:x", False),
    ],
)
def test_what_is_a_factory(name, said):
    assert is_factory(name) is said


def test_a_factory_is_called_with_the_device():
    assert load_named_encoder(f"{__name__}:make_fake", "cpu").name == "fake on cpu"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("no_such_module:load", "No module named 'no_such_module'"),
        (f"{__name__}:nothing", "has no attribute 'nothing'"),
        (f"{__name__}:make_trouble", "RuntimeError: no such weights"),
        (f"{__name__}:make_nothing", "it lacks name, fingerprint, dim, temperature"),
    ],
)
def test_a_factory_that_makes_no_encoder_is_one_sentence(name, problem):
    with pytest.raises(EncoderError, match=problem):
        load_named_encoder(name)


def test_entry_points(monkeypatch):
    entry = metadata.EntryPoint("mine", f"{__name__}:make_fake", GROUP)
    real = metadata.entry_points

    def entry_points(**wanted):
        ours = wanted.get("group") == GROUP and wanted.get("name") == "mine"
        return [entry] if ours else real(**wanted)

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    assert load_named_encoder("mine", "cpu").name == "fake on cpu"


def tokenizer(folder: Path, kind: str) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<s>", "</s>", "<unk>", "a", "dog", "cat", "red", "photo", "of", "the"]
    made = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, "<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", None, [("<s>", 1), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", unk_token="<unk>", eos_token="</s>"
    ).save_pretrained(folder)


@pytest.fixture(scope="module", params=["clip", "siglip"])
def tiny(request, tmp_path_factory):
    """A dual encoder of transformers with random weights, and transformers' own embeddings."""
    import transformers

    folder = tmp_path_factory.mktemp(request.param)
    text = {"vocab_size": 11, "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    text |= {"num_hidden_layers": 2, "max_position_embeddings": 8, "pad_token_id": 0}
    text |= {"bos_token_id": 1, "eos_token_id": 2}
    image = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    image |= {"num_hidden_layers": 2, "image_size": 32, "patch_size": 8}
    torch.manual_seed(0)
    if request.param == "clip":
        config = transformers.CLIPConfig(
            text_config=text | {"projection_dim": 12},
            vision_config=image | {"projection_dim": 12},
            projection_dim=12,
        )
        model = transformers.CLIPModel(config)
        processor = transformers.CLIPImageProcessor(
            size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
        )
    else:
        config = transformers.SiglipConfig(text_config=text, vision_config=image)
        model = transformers.SiglipModel(config)
        processor = transformers.SiglipImageProcessor(size={"height": 32, "width": 32})
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    tokenizer(folder, request.param)
    return folder, model, processor, request.param


def noise(size):
    rng = np.random.default_rng(size[0])
    small = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


def as_unit(found):
    found = getattr(found, "pooler_output", found)
    return torch.nn.functional.normalize(found.float(), dim=-1).numpy()


def test_embeddings_equal_those_of_transformers(tiny):
    import transformers

    folder, model, processor, kind = tiny
    ours = load_named_encoder(f"transformers:{folder}", "cpu")
    pictures = [noise((64, 48)), noise((40, 90)), noise((32, 32))]
    with torch.inference_mode():
        theirs = as_unit(
            model.get_image_features(**processor(images=pictures, return_tensors="pt"))
        )
    found = ours.encode_images(pictures)
    assert found.shape == theirs.shape == (3, ours.dim)
    assert (found * theirs).sum(axis=1).min() > 0.999
    prepared = [ours.prepare(picture) for picture in pictures]
    assert np.allclose(ours.encode_images(prepared), found, atol=1e-6)

    texts = ["a dog", "the red cat", "a photo of the red dog of the cat a dog"]
    own = transformers.AutoTokenizer.from_pretrained(folder)
    padding = "max_length" if kind == "siglip" else True
    tokens = own(texts, padding=padding, truncation=True, max_length=8, return_tensors="pt")
    with torch.inference_mode():
        theirs = as_unit(model.get_text_features(**tokens))
    assert np.allclose(ours.encode_texts(texts), theirs, atol=1e-5)
    assert ours.encode_texts([]).shape == ours.encode_images([]).shape == (0, ours.dim)
    assert ours.temperature == pytest.approx(float(torch.exp(-model.logit_scale.detach())))
    assert isinstance(ours, TransformersEncoder)
    (note,) = ours.notes(texts)
    assert note.endswith("is read up to its first 8 tokens")


def test_a_fingerprint_belongs_to_the_weights(tiny, tmp_path):
    import shutil

    folder, *_ = tiny
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    first = load_named_encoder(f"transformers:{folder}", "cpu")
    second = load_named_encoder(f"transformers:{copy}", "cpu")
    assert first.fingerprint == second.fingerprint
    assert (first.name, second.name) == (f"transformers:{folder}", f"transformers:{copy}")
    config = copy / "preprocessor_config.json"
    config.write_text(config.read_text().replace("0.", "0.0", 1))
    assert load_named_encoder(f"transformers:{copy}", "cpu").fingerprint != first.fingerprint


def test_what_transformers_cannot_load_is_one_sentence(tmp_path):
    with pytest.raises(EncoderError, match="cannot be loaded with transformers"):
        load_named_encoder(f"transformers:{tmp_path}", "cpu")


def test_a_way_of_resizing_that_is_unknown_is_refused():
    with pytest.raises(EncoderError, match=r"resizes to .* is unknown"):
        Fitting.of(SimpleNamespace(size={"longest_edge": 5}))


def test_without_transformers_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(EncoderError, match=r"pip install 'align-retrieval\[transformers\]'"):
        load_named_encoder("transformers:x")


def example(n: int) -> str:
    whole = (Path(__file__).parents[2] / "docs/encoders.md").read_text()
    return whole.split("```python\n")[n].split("```")[0]


@pytest.fixture
def own(tmp_path):
    """A folder with colours.py of the documentation and two pictures."""
    (tmp_path / "colours.py").write_text(example(1))
    (tmp_path / "pictures").mkdir()
    for name in ("red", "blue"):
        file = io.BytesIO()
        Image.new("RGB", (16, 16), name).save(file, "PNG")
        (tmp_path / "pictures" / f"{name}.png").write_bytes(file.getvalue())
    return tmp_path


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def align(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from retrieval.cli import main; main()"
    return run(folder, sys.executable, "-c", code, *arguments)


def test_the_example_in_the_commands(own):
    done = align(own, "index", "pictures", "--model", "colours:load")
    assert (done.returncode, done.stdout[:7]) == (0, "2 added"), done.stderr
    options = ("--library", "pictures", "-k", "1", "--paths")
    found = align(own, "search", "red", *options, "--model", "colours:load")
    assert found.stdout == f"{own}/pictures/red.png\n", found.stderr
    refused = align(own, "search", "red", *options)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        "align: this library was made with colours:load, which is code of its own: name it with"
        " --model colours:load, and it is run\n"
    )


def test_the_example_in_python(own):
    (own / "script.py").write_text(example(2))
    done = run(own, sys.executable, "script.py")
    assert done.stdout == f"{own}/pictures/red.png\n", done.stderr
