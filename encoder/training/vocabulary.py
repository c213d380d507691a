"""WordPiece vocabularies: learned from the captions that a model is trained on, or cut to a use."""

import string
import unicodedata
from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import WordPieceTrainer

CJK = "\u2e80"
"""The first character of Unicode's blocks for Chinese, Japanese and Korean."""

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_tokenizer(captions: Iterable[str], vocab_size: int = 1024) -> Tokenizer:
    """Learn at most `vocab_size` pieces. Every ASCII letter and digit is a piece of its own, so
    that an unknown word is spelt out and not lost. Normalisation is that of bert-base-uncased."""
    tokenizer = _with_rules(models.WordPiece(unk_token="[UNK]"))
    letters = string.ascii_lowercase + string.digits
    trainer = WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=[*SPECIAL, *("##" + letter for letter in letters)],
        initial_alphabet=list(letters),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    return wordpiece(pieces(tokenizer))


def wordpiece(vocabulary: Sequence[str]) -> Tokenizer:
    """The tokenizer of bert-base-uncased with another vocabulary; ids are places in it."""
    vocab = {piece: i for i, piece in enumerate(vocabulary)}
    model = models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100)
    tokenizer = _with_rules(model)
    tokenizer.add_special_tokens(list(SPECIAL))
    cls, sep = (("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"]))
    tokenizer.post_processor = processors.BertProcessing(sep, cls)
    return tokenizer


def _with_rules(model: models.WordPiece) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def pieces(tokenizer: Tokenizer) -> list[str]:
    """The vocabulary by id. Ids must have no gaps."""
    return [piece for piece, _ in sorted(tokenizer.get_vocab().items(), key=lambda kv: kv[1])]


def latin(piece: str) -> bool:
    """Whether a piece has a use in texts of Latin letters: all its letters are such, it has no mark
    or sign of another script, and it is neither a number of three digits or more, which can be
    spelt, nor a spare place of BERT's vocabulary (``[unused7]``)."""
    characters = piece.removeprefix("##")
    is_number = characters.isdecimal() and len(characters) > 2
    return not (
        is_number or piece.startswith("[unused") or any(map(_of_another_script, characters))
    )


def _of_another_script(character: str) -> bool:
    if character.isalpha():
        return "LATIN" not in unicodedata.name(character, "")
    return unicodedata.category(character).startswith("M") or character >= CJK
