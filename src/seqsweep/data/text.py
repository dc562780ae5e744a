"""Text as tokens: characters, words, or subwords, and back to text."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from seqsweep import checks
from seqsweep.data.vocabulary import PADDING
from seqsweep.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tokenizers import Tokenizer

UNKNOWN = "<unk>"
LEVELS = ("word", "character", "subword")
WORDS: dict[str, Callable[[str], list[str]]] = {
    "whitespace": str.split,
    # A word may hold hyphens and apostrophes; other marks stand for themselves.
    "punctuation": re.compile(r"\w+(?:[-'’]\w+)*|[^\w\s]").findall,  # noqa: RUF001
    "none": lambda text: [text],
}
"""How text is cut into words: where it has spaces, or at punctuation marks too, or not at all."""
SPACE = "▁"
"""Stands for a space in a subword, as in SentencePiece."""


class TextCodec:
    """Between text and the indices of its tokens, as learnt from the training text.

    Padding has index 0, then come the other special tokens, then ``<unk>``, then the
    tokens, the more frequent ones first. Make it with `fit` or, from what `plain`
    gave, with `from_plain`.
    """

    def __init__(self, plain: Mapping[str, Any]) -> None:
        self._plain = dict(plain)
        self.level: str = plain["level"]
        self.lowercase: bool = plain["lowercase"]
        self.tokens: tuple[str, ...] = tuple(plain["tokens"])
        self.index = {token: index for index, token in enumerate(self.tokens)}
        self.unknown = self.index[UNKNOWN]
        self._specials = set(self.tokens[: self.unknown])
        # Padding and the like that stand in a text must not end a sequence, or stand for nothing.
        self._own = {token: index for token, index in self.index.items() if token not in self._specials}
        self._cut = WORDS[plain["words"]]
        self._subwords = _tokenizer(plain["merges"]) if self.level == "subword" else None

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        *,
        level: str = "word",
        words: str = "whitespace",
        lowercase: bool = False,
        min_count: int = 1,
        vocabulary_size: int | None = None,
        specials: Sequence[str] = (),
    ) -> TextCodec:
        """Learn the tokens of `texts`.

        Args:
            texts: of the training part.
            level: ``word``, ``character``, or ``subword`` (byte-pair encoding, Sennrich et al. 2016),
                which needs the package tokenizers.
            words: how words are cut, a key of `WORDS`; for subwords they are what is cut further.
            lowercase: make all letters small first.
            min_count: tokens that occur less often are unknown ones.
            vocabulary_size: tokens at most, special ones included; None for no limit.
            specials: tokens besides padding that text cannot hold, such as begin and end.

        Raises:
            ConfigError: an argument is wrong, or the package tokenizers is missing.

        """
        checks.one_of("level", level, LEVELS)
        checks.one_of("words", words, WORDS)
        checks.positive_int("min_count", min_count)
        specials = (PADDING, *specials, UNKNOWN)
        if vocabulary_size is not None and checks.positive_int("vocabulary_size", vocabulary_size) <= len(
            specials
        ):
            raise ConfigError(f"vocabulary_size={vocabulary_size}: expected more than {len(specials)}")
        plain: dict[str, Any] = {"level": level, "words": words, "lowercase": lowercase, "merges": None}
        prepared = (text.lower() if lowercase else text for text in texts)
        if level == "subword":
            plain["merges"] = _trained(
                map(WORDS[words], prepared), vocabulary_size or 8000, len(specials), min_count
            )
            kept = [token for token in _known(_tokenizer(plain["merges"])) if token not in specials]
        else:
            cut = list if level == "character" else WORDS[words]
            counts = Counter(token for text in prepared for token in cut(text))
            # ties in the order of the alphabet, so that the order of the texts plays no role
            ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
            room = None if vocabulary_size is None else vocabulary_size - len(specials)
            kept = [token for token, count in ranked if count >= min_count and token not in specials][:room]
        return cls(plain | {"tokens": [*specials, *kept]})

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> TextCodec:
        """The codec that `plain` describes."""
        return cls(plain)

    def plain(self) -> dict[str, Any]:
        """Everything that makes up this codec, as JSON has it."""
        return self._plain

    def __len__(self) -> int:
        """How many tokens there are, special ones included."""
        return len(self.tokens)

    def split(self, text: str) -> list[str]:
        """The text's tokens, known or not."""
        text = text.lower() if self.lowercase else text
        if self._subwords is not None:
            words = [SPACE + word for word in self._cut(text)]
            return self._subwords.encode(words, is_pretokenized=True).tokens if words else []
        return list(text) if self.level == "character" else self._cut(text)

    def encode(self, text: str) -> list[int]:
        """The indices of the text's tokens; one that is written like a special token is an unknown one."""
        return self.encode_tokens(self.split(text))

    def encode_tokens(self, tokens: Iterable[str]) -> list[int]:
        """The tokens' indices."""
        return [self._own.get(token, self.unknown) for token in tokens]

    def decode(self, indices: Iterable[int]) -> str:
        """Text of the tokens at `indices`, special ones left out."""
        tokens = [self.tokens[index] for index in indices]
        return join((token for token in tokens if token not in self._specials), self.level)


def join(tokens: Iterable[str], level: str) -> str:
    """Text of tokens of that level."""
    if level == "word":
        return " ".join(tokens)
    text = "".join(tokens)
    return text.replace(SPACE, " ").strip() if level == "subword" else text


def _trained(words: Iterable[list[str]], size: int, specials: int, min_count: int) -> str:
    """A byte-pair encoder of about `size` tokens, `specials` of which are not its own, as JSON."""
    tokenizers = _library()
    made = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token=UNKNOWN))
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size - specials + 1,
        min_frequency=max(2, min_count),
        special_tokens=[UNKNOWN],
        show_progress=False,
    )
    # Words are pre-cut: each is a document of its own to the trainer.
    made.train_from_iterator((SPACE + word for sentence in words for word in sentence), trainer)
    return str(made.to_str())


def _known(tokenizer: Tokenizer) -> list[str]:
    ranked = sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])
    return [token for token, _ in ranked if token != UNKNOWN]


def _tokenizer(text: str) -> Tokenizer:
    made: Tokenizer = _library().Tokenizer.from_str(text)
    return made


def _library() -> Any:
    try:
        import tokenizers
        import tokenizers.models
        import tokenizers.trainers
    except ImportError as error:
        raise ConfigError(
            "level=subword: needs the package tokenizers: pip install 'seqsweep[subword]'"
        ) from error
    return tokenizers
