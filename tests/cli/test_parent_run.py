"""How a study's parent Run speaks."""

from __future__ import annotations

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from seqsweep.cli.parent_run import in_words
from seqsweep.errors import without_password

WORDS = [
    (CategoricalDistribution(["rnn", "lstm"]), "rnn, lstm"),
    (CategoricalDistribution([None, True, 0.5, 3]), "null, True, 0.5, 3"),
    (FloatDistribution(1e-4, 1e-2, log=True), "0.0001 to 0.01, logarithmic"),
    (FloatDistribution(0, 1, step=0.25), "0 to 1, step 0.25"),
    (IntDistribution(1, 5), "1 to 5"),
    (IntDistribution(16, 128, step=16), "16 to 128, step 16"),
]


@pytest.mark.parametrize(("distribution", "words"), WORDS, ids=[words for _, words in WORDS])
def test_ranges_in_words(distribution: BaseDistribution, words: str) -> None:
    assert in_words(distribution) == words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg://me:secret@host:5432/db", "postgresql+psycopg://me:***@host:5432/db"),
        ("storage: 'mysql://u:p%40@h/d' # x", "storage: 'mysql://u:***@h/d' # x"),
        ("sqlite:////a/b@c/x.db http://host:5000/#/a@b", "sqlite:////a/b@c/x.db http://host:5000/#/a@b"),
    ],
)
def test_passwords_are_left_out(text: str, shown: str) -> None:
    assert without_password(text) == shown
