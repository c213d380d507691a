"""Learn a WordPiece vocabulary from the captions that a model is trained on."""

import string
from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import WordPieceTrainer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_tokenizer(captions: Iterable[str], vocab_size: int = 1024) -> Tokenizer:
    """Learn at most `vocab_size` pieces. Every ASCII letter and digit is a piece of its own, so
    that an unknown word is spelt out and not lost. Normalisation is that of bert-base-uncased."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    letters = string.ascii_lowercase + string.digits
    trainer = WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=[*SPECIAL, *("##" + letter for letter in letters)],
        initial_alphabet=list(letters),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    vocab = {piece: i for i, piece in enumerate(_pieces(tokenizer))}
    tokenizer.model = models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100)
    tokenizer.add_special_tokens(list(SPECIAL))
    cls, sep = (("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"]))
    tokenizer.post_processor = processors.BertProcessing(sep, cls)
    return tokenizer


def _pieces(tokenizer: Tokenizer) -> list[str]:
    return [piece for piece, _ in sorted(tokenizer.get_vocab().items(), key=lambda kv: kv[1])]
