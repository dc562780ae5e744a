"""Scan: commands in a small language, to be translated into actions."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING

from seqsweep import checks
from seqsweep.catalogue import origin
from seqsweep.data import files, scan_grammar
from seqsweep.data.batch import Examples
from seqsweep.data.module import SequenceData, Splits
from seqsweep.data.prepared import prepared
from seqsweep.data.scan_grammar import Words, interpret
from seqsweep.data.splitting import check_held_out, holdout
from seqsweep.data.vocabulary import BEGIN, END, Vocabulary
from seqsweep.errors import DataError
from seqsweep.spec import DataSpec

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from torch import Tensor

log = logging.getLogger(__name__)

SIZES = {"simple": (16_728, 4_182), "addprim_jump": (14_670, 7_706), "addprim_turn_left": (21_890, 1_208)}
"""Pairs to train on and to test on, in each split."""
LEFT_OUT: dict[str, Words] = {"addprim_jump": ("jump",), "addprim_turn_left": ("turn", "left")}
"""The primitive that training shows on its own only, in the splits that are made so."""
SOURCES = ("auto", "published", "drawn")

COMMAND_WORDS = Vocabulary(scan_grammar.WORDS)
ACTION_WORDS = Vocabulary(scan_grammar.ACTIONS, specials=(BEGIN, END))

Pair = tuple[Words, Words]


class Scan(SequenceData):
    """SCAN: 20,910 commands such as "jump twice and walk left", and the actions that each asks for.

    `split` is simple (test pairs drawn from all), addprim_jump or addprim_turn_left
    (training shows the primitive on its own, as a tenth of its pairs, and testing
    uses it in everything else). `split_source` is where the split comes from:

    published   the authors' files ``tasks_{train,test}_<split>.txt`` in ``<root>/scan/``, plain or gzipped
    drawn       made here: simple drawn by `split_seed` in the published sizes, the others by their rule
    auto        published where the files are, else drawn

    `used_source` says which it was. There is no published validation part:
    `validation_size` pairs, drawn by `split_seed`, are held out of the training
    pairs. Training batches hold answers of like length; the validation and test
    parts are kept shortest answer first, so that their batches do too.

    Inputs are (batch, time) words; targets are (batch, time) actions with an end
    marker and without a begin marker, whose index the spec gives.
    Source: Lake and Baroni 2018 (see `seqsweep.data.scan_grammar`).
    """

    def __init__(
        self,
        batch_size: int = 64,
        root: str | os.PathLike[str] | None = None,
        seed: int = 0,
        eval_batch_size: int = 1024,
        *,
        split: str = "simple",
        split_source: str = "auto",
        split_seed: int = 0,
        validation_size: int = 1000,
    ) -> None:
        super().__init__(batch_size, root, seed, eval_batch_size)
        self.split = checks.one_of("split", split, SIZES)
        self.split_source = checks.one_of("split_source", split_source, SOURCES)
        self.split_seed = checks.int_at_least(0, "split_seed", split_seed)
        self.validation_size = checks.positive_int("validation_size", validation_size)
        check_held_out(SIZES[split][0], validation_size=validation_size)

    @property
    def used_source(self) -> str:
        """Where the split comes from: ``published`` or ``drawn``.

        Raises DataError if the files that were asked for are missing.
        """
        return "published" if self._published else "drawn"

    def describe(self) -> dict[str, str | int]:
        """Name and sizes, and where the split comes from."""
        return {**super().describe(), "split_source": self.used_source}

    def load(self) -> Splits:
        """The three parts, mapped from the cache. Raises DataError for a missing or malformed file."""
        options = {
            "split": self.split,
            "split_seed": self.split_seed,
            "validation_size": self.validation_size,
        }
        arrays = prepared("scan", self._build, options=options, sources=self._published)
        log.info("SCAN's %s split is %s", self.split, self.used_source)
        return Splits(
            DataSpec(
                name=f"scan_{self.split}",
                vocabulary_size=len(COMMAND_WORDS),
                output_size=len(ACTION_WORDS),
                max_length=scan_grammar.LONGEST_COMMAND,
                target_max_length=scan_grammar.LONGEST_ANSWER + 1,
                input_names=COMMAND_WORDS.tokens,
                class_names=ACTION_WORDS.tokens,
                padding_index=ACTION_WORDS.padding,
                begin_index=ACTION_WORDS[BEGIN],
                end_index=ACTION_WORDS[END],
            ),
            **{part: _examples(arrays, part) for part in ("train", "val", "test")},
        )

    @cached_property
    def _published(self) -> list[Path]:
        """The two published files, or none where the split is to be made here."""
        if self.split_source == "drawn":
            return []
        folder = self.root / "scan"
        names = [f"tasks_{part}_{self.split}.txt" for part in ("train", "test")]
        found = [path for name in names if (path := files.find(folder, name))]
        if self.split_source == "auto" and not found:
            return []
        # One without the other is a mistake to mend, not a reason to draw another split in silence.
        return [files.require(folder, name, origin("scan")) for name in names]

    def _build(self) -> dict[str, np.ndarray]:
        train, test = self._read() if self._published else self._make()
        kept, held = holdout(len(train), self.validation_size, self.split_seed)
        return {
            **_arrays("train", [train[index] for index in kept]),
            **_arrays("val", _shortest_first([train[index] for index in held])),
            **_arrays("test", _shortest_first(test)),
        }

    def _read(self) -> tuple[list[Pair], list[Pair]]:
        train, test = self._published
        train_size, test_size = SIZES[self.split]
        return read_pairs(train, expected=train_size), read_pairs(test, expected=test_size)

    def _make(self) -> tuple[list[Pair], list[Pair]]:
        pairs = all_pairs()
        if self.split in LEFT_OUT:
            return split_by_primitive(pairs, LEFT_OUT[self.split])
        train, test = holdout(len(pairs), SIZES["simple"][1], self.split_seed)
        return [pairs[index] for index in train], [pairs[index] for index in test]


def all_pairs() -> list[Pair]:
    """All 20,910 commands with their actions, in the grammar's order."""
    return [(command, interpret(command)) for command in scan_grammar.commands()]


def split_by_primitive(pairs: Sequence[Pair], primitive: Words) -> tuple[list[Pair], list[Pair]]:
    """The training and test pairs of Lake and Baroni's experiment 3.

    Testing has every command that uses `primitive` in company; training has the
    others, and `primitive` on its own so often that it is a tenth of all.
    """
    test = [pair for pair in pairs if pair[0] != primitive and _uses(pair[0], primitive)]
    others = [pair for pair in pairs if not _uses(pair[0], primitive)]
    alone: Pair = (primitive, interpret(primitive))
    return [*others, *[alone] * round(len(others) / 9)], test


def read_pairs(path: Path, expected: int) -> list[Pair]:
    """The pairs of a published file, a line each: ``IN: jump twice OUT: I_JUMP I_JUMP``.

    Raises DataError, naming the file and the line, unless there are `expected` of
    them and the grammar says the same.
    """
    pairs = [_pair(path, number, line) for number, line in enumerate(files.read_lines(path), start=1)]
    if len(pairs) != expected:
        raise DataError(
            f"{path}: {len(pairs)} lines, expected {expected}; get it again from {origin('scan')}"
        )
    return pairs


def _pair(path: Path, number: int, line: str) -> Pair:
    command, _, actions = line.removeprefix("IN: ").partition(" OUT: ")
    pair = (tuple(command.split()), tuple(actions.split()))
    try:
        meant = interpret(pair[0])
    except ValueError as error:
        raise DataError(f"{path}, line {number}: {error}") from error
    if meant != pair[1]:
        raise DataError(f"{path}, line {number}: '{command}' means '{' '.join(meant)}', not '{actions}'")
    return pair


def _uses(command: Words, primitive: Words) -> bool:
    width = len(primitive)
    return any(command[start : start + width] == primitive for start in range(len(command)))


def _shortest_first(pairs: list[Pair]) -> list[Pair]:
    return sorted(pairs, key=lambda pair: len(pair[1]))


def _arrays(part: str, pairs: list[Pair]) -> dict[str, np.ndarray]:
    inputs, lengths = COMMAND_WORDS.encode_padded([command for command, _ in pairs])
    targets, target_lengths = ACTION_WORDS.encode_padded([(*actions, END) for _, actions in pairs])
    return {
        f"{part}_inputs": inputs,
        f"{part}_lengths": lengths,
        f"{part}_targets": targets,
        f"{part}_target_lengths": target_lengths,
    }


def _examples(arrays: dict[str, Tensor], part: str) -> Examples:
    return Examples(
        arrays[f"{part}_inputs"],
        arrays[f"{part}_targets"],
        arrays[f"{part}_lengths"],
        arrays[f"{part}_target_lengths"],
    )
