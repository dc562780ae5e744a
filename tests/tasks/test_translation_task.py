"""Scores of generated texts."""

from __future__ import annotations

from typing import Any

import pytest
import sacrebleu
import torch
from torch import Tensor
from torch.optim import Adam

from seqsweep.data import Batch
from seqsweep.models import Seq2Seq as Model
from seqsweep.spec import DataSpec
from seqsweep.tasks import Seq2Seq, Translation
from seqsweep.tasks.seq2seq import text_of
from seqsweep.tasks.translation import TextScore

WORDS = ("<pad>", "<begin>", "<end>", "<unk>", *["a", "the", "dog", "cat", "runs", "sits", "on", "mat", "."])
SPEC = DataSpec(
    name="texts",
    vocabulary_size=len(WORDS),
    output_size=len(WORDS),
    target_max_length=9,
    input_names=WORDS,
    class_names=WORDS,
    begin_index=1,
    end_index=2,
)


def task(kind: type[Seq2Seq] = Translation, spec: DataSpec = SPEC, **model: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind(Model(spec, **{"hidden_size": 4} | model), spec, Adam)


def table(*lines: str) -> Tensor:
    rows = [[WORDS.index(word) for word in (*line.split(), "<end>")] for line in lines]
    return torch.tensor([row + [0] * (10 - len(row)) for row in rows])


def batch(*lines: str) -> Batch:
    targets = table(*lines)
    lengths = (targets != 0).sum(dim=1)
    return Batch(targets.clone(), targets, lengths, lengths)


REFERENCES = ("the dog runs on the mat .", "a cat sits on a mat .", "the cat runs .")
GENERATED = ("the dog sits on the mat .", "a cat sits on the mat .", "")


def scores(generated: tuple[str, ...], references: tuple[str, ...]) -> tuple[float, float]:
    made = task()
    measures = made.make_measures()
    made.measure_generated(measures, batch(*references), table(*generated))
    return measures["bleu"].compute().item(), measures["chrf"].compute().item()


def test_the_scores_are_those_of_sacrebleu() -> None:
    bleu, chrf = scores(GENERATED, REFERENCES)
    assert bleu == pytest.approx(sacrebleu.corpus_bleu(GENERATED, [REFERENCES]).score)
    assert chrf == pytest.approx(sacrebleu.corpus_chrf(GENERATED, [REFERENCES]).score)
    assert scores(REFERENCES, REFERENCES) == pytest.approx((100, 100))


@pytest.mark.parametrize(("name", "attribute"), [("BLEU", "bleu"), ("CHRF", "chrf")])
def test_the_documented_signatures(name: str, attribute: str) -> None:
    metric = getattr(sacrebleu.metrics, name)()
    metric.corpus_score(GENERATED, [REFERENCES])
    signature = metric.get_signature().format().rpartition("|version")[0]
    assert signature in " ".join((Translation.__doc__ or "").split())


def test_how_a_part_is_cut_into_batches_changes_no_score() -> None:
    whole, split = task().make_measures(), task().make_measures()
    task().measure_generated(whole, batch(*REFERENCES), table(*GENERATED))
    for line, true in zip(GENERATED, REFERENCES, strict=True):
        task().measure_generated(split, batch(true), table(line))
    for name in ("bleu", "chrf", "exact_match"):
        assert split[name].compute().item() == pytest.approx(whole[name].compute().item())


def test_an_unknown_word_is_right_nowhere() -> None:
    known = scores(("the dog runs on a mat .",), ("the cat runs on a mat .",))
    unknown = scores(("the <unk> runs on a mat .",), ("the <unk> runs on a mat .",))
    assert unknown[0] == pytest.approx(known[0])


def test_a_score_begins_again() -> None:
    score = TextScore("BLEU")
    score.update(["a cat"], ["a dog"])
    score.reset()
    score.update(["a cat sits on the mat"], ["a cat sits on the mat"])
    assert score.compute().item() == pytest.approx(100)


def test_measures_are_what_is_promised() -> None:
    made = task()
    measures = made.make_measures()
    made.measure(measures, batch(*REFERENCES))
    assert {f"val/{name}" for name in measures} == set(Translation.metrics)
    assert Translation.monitor == ("val/bleu", "maximize")


def test_predictions_end_where_the_model_ends() -> None:
    made = task()
    rows = torch.tensor([[4, 5, 2, 0, 0], [2, 0, 0, 0, 0], [4, 5, 6, 7, 8]])
    assert made.answers(rows) == [[4, 5], [], [4, 5, 6, 7, 8]]
    found = made.predictions(batch(*REFERENCES))
    assert len(found) == 3
    assert all(2 not in row and 0 not in row for row in found)


def test_text_of_tokens() -> None:
    assert text_of([4, 3, 6], SPEC) == "a <unk> dog"
    subwords = DataSpec(
        "s", 5, vocabulary_size=5, level="subword", class_names=("<pad>", "<unk>", "▁do", "g", "▁s")
    )
    assert text_of([2, 3, 4], subwords) == "dog s"


def test_attention_is_shown_for_the_first_examples() -> None:
    made = task()
    assert made.pictures() == {}
    made.test_step(batch(*REFERENCES, *REFERENCES), 0)
    made.test_step(batch("a cat"), 1)
    figures = made.pictures()
    assert list(figures) == [f"attention_{number}" for number in (1, 2, 3, 4)]
    axes = figures["attention_1"].axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == [*REFERENCES[0].split(), "<end>"]
    weights = axes.images[0].get_array()
    assert weights is not None
    assert weights.sum(axis=1).tolist() == pytest.approx([1.0] * len(weights), abs=1e-5)


def test_without_attention_or_names() -> None:
    made = task(attention="none")
    made.test_step(batch(*REFERENCES), 0)
    assert made.pictures() == {}
    plain = DataSpec(
        "plain", len(WORDS), vocabulary_size=len(WORDS), target_max_length=9, begin_index=1, end_index=2
    )
    made = task(Seq2Seq, plain)
    made.test_step(batch("a cat"), 0)
    (figure,) = made.pictures().values()
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["0", "1", "2"]
