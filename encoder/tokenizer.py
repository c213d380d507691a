"""Texts to token ids: WordPiece through the `tokenizers` package."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers.implementations.bert_wordpiece import BertWordPieceTokenizer

from encoder.errors import CheckpointError

MAX_TOKENS = 64
"""Longer texts are cut to this length, with [CLS] and [SEP] (arXiv 2102.05918, section 4.1)."""


class Tokenizer:
    """Loads ``tokenizer.json``, or else ``vocab.txt`` with the rules of bert-base-uncased."""

    def __init__(self, directory: Path, max_tokens: int = MAX_TOKENS) -> None:
        whole, vocab = directory / "tokenizer.json", directory / "vocab.txt"
        try:
            if whole.is_file():
                self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(whole))
            elif vocab.is_file():
                self._tokenizer = BertWordPieceTokenizer(str(vocab), lowercase=True)
            else:
                raise CheckpointError(f"{directory} has neither tokenizer.json nor vocab.txt")
        except CheckpointError:
            raise
        except Exception as error:  # the package raises plain Exception
            raise CheckpointError(f"{directory}: the tokenizer cannot be read: {error}") from error
        self._check(str(directory), max_tokens)

    @classmethod
    def from_json(cls, json: str, max_tokens: int = MAX_TOKENS) -> Self:
        """The tokenizer with this content of a ``tokenizer.json``."""
        made = cls.__new__(cls)
        made._tokenizer = tokenizers.Tokenizer.from_str(json)
        made._check("tokenizer.json", max_tokens)
        return made

    def _check(self, where: str, max_tokens: int) -> None:
        pad = self._tokenizer.token_to_id("[PAD]")
        if pad is None or None in map(self._tokenizer.token_to_id, ("[CLS]", "[SEP]", "[UNK]")):
            raise CheckpointError(f"{where}: the vocabulary lacks [PAD], [CLS], [SEP] or [UNK]")
        self.json: str = self._tokenizer.to_str()
        """The content of its ``tokenizer.json``."""
        self._max_tokens = max_tokens
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.no_padding()
        self._pad: int = pad

    def __call__(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Ids and mask (0 for padding) of b texts, both (b, t) int64; t is the longest text's
        length, at most the limit. A text that is cut keeps its [SEP]."""
        return self.padded(self.ids(texts))

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without padding."""
        # Lone surrogates (bytes of the command line that were not UTF-8) become question marks.
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        return [encoding.ids for encoding in self._tokenizer.encode_batch(clean)]

    def padded(
        self, ids: Sequence[Sequence[int]]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """As `__call__`, of texts whose ids are known."""
        whole = np.full((len(ids), max(map(len, ids), default=0)), self._pad, np.int64)
        mask = np.zeros_like(whole)
        for row, seen, some in zip(whole, mask, ids, strict=True):
            row[: len(some)], seen[: len(some)] = some, 1
        return whole, mask

    def reading(self, text: str) -> tuple[int, bool]:
        """How many of the tokens of `text` are in the vocabulary, and whether its end is cut."""
        encoding = self._tokenizer.encode(text.encode("utf-8", "replace").decode())
        unknown = self._tokenizer.token_to_id("[UNK]")
        special = encoding.special_tokens_mask
        known = [id for id, is_special in zip(encoding.ids, special, strict=True) if not is_special]
        return sum(id != unknown for id in known), bool(encoding.overflowing)

    @property
    def vocab_size(self) -> int:
        """The largest id + 1."""
        ids: list[int] = list(self._tokenizer.get_vocab().values())
        return max(ids) + 1

    def identity(self) -> bytes:
        """All that decides the ids, and nothing else; the same for either file."""
        rules: dict[str, Any] = json.loads(self.json)
        normalizer = rules["normalizer"]
        if normalizer and normalizer.get("strip_accents", ...) is None:
            normalizer["strip_accents"] = normalizer["lowercase"]
        model = dict(rules["model"], vocab=sorted(self._tokenizer.get_vocab().items()))
        added = sorted(json.dumps(token, sort_keys=True) for token in rules["added_tokens"])
        # Several kinds of template put the same tokens around a text: what they put there counts.
        around = [self._tokenizer.encode(text).ids for text in ("", "a")]
        parts = [normalizer, rules["pre_tokenizer"], model, added, around, self._max_tokens]
        return json.dumps(parts, sort_keys=True).encode()

    def former_identity(self) -> bytes:
        """What `identity` was in version 0.1."""
        vocab = sorted(self._tokenizer.get_vocab().items())
        normalizer = json.loads(self._tokenizer.to_str())["normalizer"]
        return json.dumps([vocab, normalizer], sort_keys=True).encode()
