"""A start from towers that others trained gives what these towers give."""

import zipfile
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save
from torch import Tensor
from transformers import AlignModel as Reference
from transformers import BertModel

from encoder import CheckpointError, load_encoder
from encoder.model.efficientnet import Block
from encoder.tokenizer import Tokenizer
from encoder.towers import save as save_checkpoint
from encoder.training import from_towers
from encoder.training.vocabulary import latin
from tests.encoder.foreign_towers import BLOCKS, PIECES, lite, lite_features, write_bert, write_lite


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lite(tmp_path_factory.mktemp("lite") / "lite.pth")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    write_bert(folder)
    return folder


def test_pictures_reach_the_new_projection_as_the_head_sees_them(image: Path, text: Path) -> None:
    tower = from_towers(image, text, image_size=96).model.vision_model.eval()
    x = torch.randn(2, 3, 96, 96)
    seen: list[Tensor] = []
    projection = cast(Block, tower.encoder.blocks[len(BLOCKS)]).projection
    projection.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    with torch.no_grad():
        features = tower(x)
        expected = lite_features(lite(), x)
        assert expected.std() > 0.1
        torch.testing.assert_close(seen[0].mean((2, 3)), expected, atol=1e-4, rtol=1e-4)
        projected = projection(seen[0]).mean((2, 3))
    torch.testing.assert_close(features, projected, atol=1e-5, rtol=1e-5)


def test_texts_of_latin_letters_are_as_before(image: Path, text: Path) -> None:
    start = from_towers(image, text)
    kept = [piece for piece in PIECES if latin(piece)]
    assert [piece for piece in PIECES if piece not in kept] == [
        *("[unused0]", "猫", "##я", "1234", "。", "##ा")
    ]
    ids = [PIECES.index(piece) for piece in kept]
    new = torch.tensor(
        [[kept.index(piece) for piece in ("[CLS]", "a", "##b", "é", "cat", "[SEP]")]]
    )
    with torch.inference_mode():
        ours = start.model.text_model.eval()(new)
        theirs = BertModel.from_pretrained(text)(torch.tensor(ids)[new]).last_hidden_state
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sample", ["ab CAT on 7", "é 猫", "", "abbb я"])
def test_the_cut_vocabulary_reads_the_same_words(
    image: Path, text: Path, tmp_path: Path, sample: str
) -> None:
    start = from_towers(image, text)
    (tmp_path / "tokenizer.json").write_text(start.tokenizer_json)
    kept = [piece for piece in PIECES if latin(piece)]
    ours, mask = Tokenizer(tmp_path)([sample])
    theirs, _ = Tokenizer(text)([sample])
    words = [PIECES[id] if latin(PIECES[id]) else "[UNK]" for id in theirs[0]]
    assert [kept[id] for id in ours[0]] == words
    assert mask.all()


def test_a_start_is_a_checkpoint_that_the_reference_loads(
    image: Path, text: Path, tmp_path: Path
) -> None:
    start = from_towers(image, text, image_size=64)
    save_checkpoint(tmp_path, start.model, start.preprocessor, start.tokenizer_json)
    encoder = load_encoder(str(tmp_path), device="cpu")
    picture = Image.effect_mandelbrot((90, 70), (-2, -1, 1, 1), 60).convert("RGB")
    reference = Reference.from_pretrained(tmp_path).eval()
    floats = start.preprocessor.to_floats(start.preprocessor.prepare(picture)[None])
    ids, mask = Tokenizer(tmp_path)(["a cat on"])
    with torch.inference_mode():
        seen = reference.get_image_features(torch.from_numpy(floats)).pooler_output
        read = reference.text_projection(
            reference.text_model(torch.from_numpy(ids), torch.from_numpy(mask)).last_hidden_state[
                :, 0
            ]
        )
    ours = encoder.encode_images([picture])[0], encoder.encode_texts(["a cat on"])[0]
    for row, theirs in zip(ours, (seen, read), strict=True):
        expected = F.normalize(theirs, dim=-1)[0].numpy()
        np.testing.assert_allclose(row, expected, atol=1e-5)


def test_pixels_are_those_of_efficientnet_lite(image: Path, text: Path) -> None:
    made = from_towers(image, text, image_size=8).preprocessor
    pixels = np.arange(192, dtype=np.uint8).reshape(1, 8, 8, 3)
    expected = (pixels.astype(np.float32) - 127) / 128
    np.testing.assert_allclose(made.to_floats(pixels), expected.transpose(0, 3, 1, 2), atol=1e-6)


def test_a_bert_in_a_zip_file(image: Path, text: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bert.zip", "w") as archive:
        for file in text.iterdir():
            archive.write(file, file.name)
    one, two = (from_towers(image, place) for place in (text, tmp_path / "bert.zip"))
    assert one.identity() == two.identity()
    assert from_towers(image, text, seed=1).identity() != one.identity()


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        ("a.pth", b"nonsense", r"is no file of weights: name a \.pth or \.safetensors file$"),
        ("gone.pth", None, "cannot be read: No such file"),
        ("a.safetensors", save({"x": torch.zeros(1)}), "it has no _conv_stem.weight"),
        ("b.safetensors", save({**lite(), "_blocks.0._se_reduce.weight": torch.zeros(1)}), "Lite"),
        ("c.safetensors", save({**lite(), "_blocks.0.odd": torch.zeros(1)}), "odd .* has no place"),
        *(
            ("d.safetensors", save({n: t for n, t in lite().items() if n != lost}), complaint)
            for lost, complaint in (
                ("_conv_head.weight", "is no whole EfficientNet: '_conv_head.weight'"),
                ("_blocks.3._project_conv.weight", "is no whole EfficientNet"),
                (
                    "_blocks.3._bn1.bias",
                    "lacks encoder.blocks.3.depthwise_conv.depthwise_norm.bias",
                ),
                ("_bn0.running_var", "lacks embeddings.batchnorm.running_var"),
            )
        ),
    ],
)
def test_what_is_no_picture_tower_is_refused(
    text: Path, tmp_path: Path, name: str, data: bytes | None, complaint: str
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=complaint):
        from_towers(tmp_path / name, text)


@pytest.mark.parametrize("lost", ["config.json", "tokenizer.json", "model.safetensors"])
def test_what_is_no_text_tower_is_refused(
    image: Path, text: Path, tmp_path: Path, lost: str
) -> None:
    with pytest.raises(CheckpointError, match="no folder or zip file with config"):
        from_towers(image, tmp_path / "gone.zip")
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).write_bytes((text / name).read_bytes())
    if lost == "model.safetensors":
        state = load_file(text / lost)
        (tmp_path / lost).write_bytes(
            save({n: t for n, t in state.items() if n != "encoder.layer.1.output.dense.bias"})
        )
        with pytest.raises(CheckpointError, match=r"lacks encoder\.layer\.1\.output\.dense\.bias"):
            from_towers(image, tmp_path)
    (tmp_path / lost).write_bytes(b"[]")
    with pytest.raises(CheckpointError, match="holds no BERT"):
        from_towers(image, tmp_path)


def test_a_text_tower_of_an_odd_width_is_refused(image: Path, tmp_path: Path) -> None:
    write_bert(tmp_path, width=36)
    with pytest.raises(CheckpointError, match="is 36 numbers wide: a multiple of 8 is needed"):
        from_towers(image, tmp_path)
