"""Token ids compared with known ids of bert-base-uncased and with the reference's tokenizer."""

import json
from pathlib import Path

import numpy as np
import pytest
import transformers
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from encoder.errors import CheckpointError
from encoder.tokenizer import MAX_TOKENS, Tokenizer

TEXTS = [
    "a photo of a cat",
    "The DOG's walking, on beaches!",
    "",
    " \t\n",
    "Café 42 walks?",
    "你好 the-cat",
    "emoji 😀 dog",
    "[CLS] of [SEP] [UNK]",
    "xyz" * 40,
    "dog " * 80,
]


@pytest.fixture
def from_vocab(tmp_path: Path, words: list[str]) -> Path:
    """A folder with only vocab.txt."""
    directory = tmp_path / "vocab"
    directory.mkdir()
    (directory / "vocab.txt").write_text("\n".join(words) + "\n", "utf-8")
    return directory


@pytest.fixture
def from_json(tmp_path: Path, tokenizer_json: str) -> Path:
    """A folder with only tokenizer.json, of the same vocabulary."""
    directory = tmp_path / "json"
    directory.mkdir()
    (directory / "tokenizer.json").write_text(tokenizer_json, "utf-8")
    return directory


def lists(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """Ids without the padding."""
    ids, mask = tokenizer(texts)
    assert ids.dtype == mask.dtype == np.int64
    assert set(np.unique(mask).tolist()) <= {0, 1}
    return [row[seen == 1].tolist() for row, seen in zip(ids, mask, strict=True)]


def test_ids_computed_by_hand(from_vocab: Path, words: list[str]) -> None:
    def ids(*tokens: str) -> list[int]:
        return [words.index(token) for token in ("[CLS]", *tokens, "[SEP]")]

    assert lists(Tokenizer(from_vocab), ["a photo", "DOGS walking", "Café", "", "dog~"]) == [
        ids("a", "photo"),
        ids("dog", "##s", "walk", "##ing"),
        ids("cafe"),
        ids(),
        ids("dog", "[UNK]"),
    ]


@pytest.mark.parametrize("source", ["from_vocab", "from_json"])
def test_ids_equal_the_reference(
    source: str, request: pytest.FixtureRequest, from_vocab: Path
) -> None:
    reference = transformers.BertTokenizer(vocab=str(from_vocab / "vocab.txt"))
    wanted = reference(TEXTS, truncation=True, max_length=MAX_TOKENS)["input_ids"]
    found = lists(Tokenizer(request.getfixturevalue(source)), TEXTS)
    assert found == wanted
    assert len({tuple(row) for row in found}) == len(TEXTS) - 1  # the two blank texts are equal


def test_both_files_give_the_same_tokenizer(
    from_vocab: Path, from_json: Path, words: list[str], tmp_path: Path
) -> None:
    by_vocab, by_json = Tokenizer(from_vocab), Tokenizer(from_json)
    assert by_vocab.identity() == by_json.identity()
    assert by_vocab.vocab_size == by_json.vocab_size == len(words)
    (from_vocab / "vocab.txt").write_text("\n".join([*words, "zebra"]) + "\n", "utf-8")
    assert Tokenizer(from_vocab).identity() != by_json.identity()
    cased = BertWordPieceTokenizer({w: i for i, w in enumerate(words)}, lowercase=False)
    (from_json / "tokenizer.json").write_text(cased.to_str(), "utf-8")
    assert Tokenizer(from_json).identity() != by_json.identity()


def test_tokenizer_json_is_preferred_to_vocab_txt(from_json: Path, words: list[str]) -> None:
    (from_json / "vocab.txt").write_text("\n".join([*words, "zebra"]) + "\n", "utf-8")
    assert Tokenizer(from_json).vocab_size == len(words)


@pytest.mark.parametrize("source", ["from_vocab", "from_json"])
@pytest.mark.parametrize("limit", [2, 5, 64])
def test_a_long_text_keeps_its_end(
    source: str, limit: int, request: pytest.FixtureRequest, words: list[str]
) -> None:
    (row,) = lists(Tokenizer(request.getfixturevalue(source), limit), ["dog " * 100])
    dogs = [words.index("dog")] * (limit - 2)
    assert row == [words.index("[CLS]"), *dogs, words.index("[SEP]")]


def test_a_tokenizer_json_with_its_own_limits_is_overruled(
    from_json: Path, words: list[str]
) -> None:
    made = BertWordPieceTokenizer({word: i for i, word in enumerate(words)}, lowercase=True)
    made.enable_truncation(5)
    made.enable_padding(length=20, pad_id=3)
    (from_json / "tokenizer.json").write_text(made.to_str(), "utf-8")
    ids, mask = Tokenizer(from_json)(["dog " * 9, "dog"])
    assert ids.shape == mask.shape == (2, 11)
    assert ids[1].tolist() == [*(words.index(w) for w in ("[CLS]", "dog", "[SEP]")), *[0] * 8]


def test_pads_to_the_longest(from_vocab: Path, words: list[str]) -> None:
    ids, mask = Tokenizer(from_vocab)(["dog", "a dog on the beach", ""])
    assert ids.shape == (3, 7)
    assert mask.tolist() == [[1] * 3 + [0] * 4, [1] * 7, [1] * 2 + [0] * 5]
    assert (ids[mask == 0] == words.index("[PAD]")).all()


def test_text_that_was_never_utf_8(from_vocab: Path) -> None:
    """The command line passes such bytes as lone surrogates."""
    tokenizer = Tokenizer(from_vocab)
    assert lists(tokenizer, ["dog \udcff cat"]) == lists(tokenizer, ["dog ? cat"])


def test_golden_ids(data_dir: Path) -> None:
    golden = json.loads((data_dir / "bert" / "golden.json").read_text("utf-8"))
    cases = golden["strings"] + golden["captions"]
    assert len(cases) == 123
    tokenizer = Tokenizer(data_dir / "bert")
    assert lists(tokenizer, [case["text"] for case in cases]) == [case["ids"] for case in cases]
    assert tokenizer.vocab_size == 30522


def test_golden_ids_by_tokenizer_json(data_dir: Path, tmp_path: Path) -> None:
    golden = json.loads((data_dir / "bert" / "golden.json").read_text("utf-8"))
    vocab = data_dir / "bert" / "vocab.txt"
    whole = transformers.BertTokenizer(vocab=str(vocab)).backend_tokenizer.to_str()
    (tmp_path / "tokenizer.json").write_text(whole, "utf-8")
    by_json = Tokenizer(tmp_path)
    cases = golden["strings"] + golden["captions"]
    assert lists(by_json, [case["text"] for case in cases]) == [case["ids"] for case in cases]
    assert by_json.identity() == Tokenizer(vocab.parent).identity()


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has neither tokenizer\.json nor vocab\.txt"):
        Tokenizer(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "{}", '{"version": "1.0", "model": {"type": "Odd"}}'])
def test_a_damaged_tokenizer_json(text: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(CheckpointError, match="the tokenizer cannot be read"):
        Tokenizer(tmp_path)


@pytest.mark.parametrize("missing", ["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
def test_a_vocabulary_without_a_special_token(
    missing: str, tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(w for w in words if w != missing), "utf-8")
    with pytest.raises(CheckpointError, match=r"the vocabulary lacks|the tokenizer cannot be read"):
        Tokenizer(tmp_path)


def test_a_vocabulary_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes(b"\xff\xfe\x00[PAD]")
    with pytest.raises(CheckpointError, match=r"the tokenizer cannot be read|the vocabulary lacks"):
        Tokenizer(tmp_path)
