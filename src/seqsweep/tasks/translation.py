"""One text to another: what Seq2Seq measures, and how near the texts come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torchmetrics import Metric

from seqsweep.tasks.seq2seq import Seq2Seq, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from seqsweep.data import Batch

STRANGE = ("\N{WHITE SQUARE}", "\N{BLACK SQUARE}")
"""What unknown tokens are to the scores, in what the model says and in the reference: never the same."""


class Translation(Seq2Seq):
    """Seq2Seq, and BLEU and chrF of the generated texts against the true ones.

    Both are sacrebleu's, over the whole part, from 0 to 100, with one reference: BLEU (Papineni
    et al. 2002) with signature ``nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp``, chrF2 (Popovic 2015)
    with ``nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no``. Texts are compared as the data has them: of
    small letters where ``data.lowercase`` made them so, and with a space between words and
    marks where ``data.words`` cut them. An unknown word is right nowhere, not even where the reference
    has one.
    """

    metrics = (*Seq2Seq.metrics, "val/bleu", "val/chrf")
    monitor = ("val/bleu", "maximize")

    def make_measures(self) -> dict[str, Metric]:
        """Those of Seq2Seq, bleu and chrf."""
        return {**super().make_measures(), "bleu": TextScore("BLEU"), "chrf": TextScore("CHRF")}

    def measure_generated(self, measures: Mapping[str, Any], batch: Batch, generated: Tensor) -> None:
        """Take what was generated for a batch into the measures."""
        super().measure_generated(measures, batch, generated)
        texts, references = (
            self._texts(tokens, strange)
            for tokens, strange in zip((generated, batch.targets), STRANGE, strict=True)
        )
        for name in ("bleu", "chrf"):
            measures[name].update(texts, references)

    def _texts(self, rows: Tensor, strange: str) -> list[str]:
        return [text_of(row, self.spec, strange) for row in self.answers(rows)]


class TextScore(Metric):
    """A score of sacrebleu's over all texts that it was given.

    Args:
        name: of the class in ``sacrebleu.metrics``.

    """

    full_state_update = False

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._texts: list[str] = []
        self._references: list[str] = []

    def update(self, texts: Sequence[str], references: Sequence[str]) -> None:
        """Take in texts, and for each what it should be."""
        self._texts += texts
        self._references += references

    def compute(self) -> Tensor:
        """The score so far, from 0 to 100."""
        from sacrebleu import metrics

        score = getattr(metrics, self._name)().corpus_score(self._texts, [self._references])
        return torch.tensor(score.score)

    def reset(self) -> None:
        """Begin again."""
        super().reset()
        self._texts, self._references = [], []
