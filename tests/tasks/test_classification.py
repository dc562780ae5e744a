from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from sklearn.metrics import confusion_matrix, roc_auc_score
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from models.model_cases import NUMBERS, PAIRS, generator, numbers
from seqsweep.data import Batch
from seqsweep.errors import ConfigError
from seqsweep.models import GRU
from seqsweep.tasks import Classification


def task(**options: Any) -> Classification:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Classification(GRU(NUMBERS, **{"hidden_size": 4} | options), NUMBERS, Adam)


def batch(size: int = 6) -> Batch:
    targets = torch.randint(0, 4, (size,), generator=generator())
    return Batch(numbers(size), targets, torch.tensor([6, 3, 1, 2, 6, 5])[:size])


def test_loss_is_a_pure_function() -> None:
    made = task(dropout=0.5)
    made.generator = generator(3)
    masks = made.draw_masks(batch())
    params, buffers = made.tensors()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    first, state, logits = made.loss(params, buffers, batch(), None, masks)
    again, _, _ = made.loss(params, buffers, batch(), None, masks)
    assert torch.equal(first, again)
    assert state is None
    assert logits.shape == (6, 4)
    torch.testing.assert_close(first, F.cross_entropy(logits, batch().targets))
    assert all(torch.equal(before[name], value) for name, value in made.state_dict().items())
    zeros = {name: torch.zeros_like(value) for name, value in params.items()}
    assert made.loss(zeros, buffers, batch(), None, None)[0].item() == pytest.approx(1.3863, abs=1e-4)


def test_gradients_by_functional_grad_equal_backward() -> None:
    made = task()
    params, buffers = made.tensors()
    made.training_step(batch(), 0).backward()
    plain = {name: value.detach() for name, value in params.items()}
    grads = torch.func.grad(lambda p: made.loss(p, buffers, batch(), None, None)[0])(plain)
    for name, parameter in params.items():
        torch.testing.assert_close(grads[name], parameter.grad)


def test_masks_come_from_the_trials_generator_not_the_global_one() -> None:
    made = task(dropout=0.5)
    made.generator = generator(3)
    before = torch.get_rng_state()
    losses = [made.training_step(batch(), 0).item() for _ in range(2)]
    assert losses[0] != losses[1]
    assert torch.equal(before, torch.get_rng_state())
    made.generator = generator(3)
    assert [made.training_step(batch(), 0).item() for _ in range(2)] == losses


def test_without_a_generator_one_follows_the_global_seed() -> None:
    values = []
    for _ in range(2):
        torch.manual_seed(5)
        values.append(task(dropout=0.5).training_step(batch(), 0).item())
    assert values[0] == values[1]


def test_measures_by_hand() -> None:
    made = task()
    measures = made.make_measures()
    whole = batch()
    parts = [
        Batch(whole.inputs[rows], whole.targets[rows], whole.lengths[rows])  # type: ignore[index]
        for rows in (slice(0, 4), slice(4, 6))
    ]
    for part in parts:
        made.measure(measures, part)
    loss, _, logits = made.loss(*made.tensors(), whole, None, None)
    guesses = logits.argmax(-1)
    assert measures["loss"].compute().item() == pytest.approx(loss.item())
    assert measures["accuracy"].compute().item() == pytest.approx(
        (guesses == whole.targets).float().mean().item()
    )
    scores = []
    for label in set(guesses.tolist()) | set(whole.targets.tolist()):
        hits = ((guesses == label) & (whole.targets == label)).sum().item()
        scores.append(2 * hits / ((guesses == label).sum().item() + (whole.targets == label).sum().item()))
    assert measures["macro_f1"].compute().item() == pytest.approx(sum(scores) / len(scores))
    probabilities = logits.softmax(-1).detach().numpy()
    areas = [
        roc_auc_score((whole.targets == label).numpy(), probabilities[:, label])
        for label in range(4)
        if 0 < (whole.targets == label).sum() < 6
    ]
    assert measures["auroc"].compute().item() == pytest.approx(sum(areas) / len(areas))
    matrix = confusion_matrix(whole.targets, guesses, labels=range(4))
    assert measures["confusion"].compute().tolist() == matrix.tolist()
    assert {f"val/{name}" for name in measures} == {*Classification.metrics, "val/confusion"}
    assert Classification.monitor[0] in Classification.metrics


def test_optimizers() -> None:
    model = GRU(NUMBERS, hidden_size=4)
    assert isinstance(Classification(model, NUMBERS, Adam).configure_optimizers(), Adam)
    cosine = Classification(model, NUMBERS, Adam, lambda made: CosineAnnealingLR(made, T_max=5))
    assert cosine.configure_optimizers()["lr_scheduler"]["interval"] == "epoch"
    plateau = Classification(model, NUMBERS, lambda params: SGD(params, lr=0.1), ReduceLROnPlateau)
    assert plateau.configure_optimizers()["lr_scheduler"]["monitor"] == "val/loss"


@pytest.mark.parametrize("spec", [PAIRS, replace(NUMBERS, kind="regression")])
def test_data_of_another_kind_is_refused(spec: Any) -> None:
    with pytest.raises(ConfigError, match=r"expected task=(seq2seq|regression)"):
        Classification(GRU(NUMBERS, hidden_size=4), spec, Adam)


def with_counts(*counts: int, **options: Any) -> Classification:
    spec = replace(NUMBERS, class_counts=counts)
    return Classification(GRU(spec, hidden_size=4), spec, Adam, **options)


def test_balanced_classes_weigh_the_same_in_all() -> None:
    made = with_counts(1, 2, 3, 10, class_weights="balanced")
    assert made.class_weights is not None
    in_all = made.class_weights * torch.tensor([1, 2, 3, 10])
    torch.testing.assert_close(in_all, torch.full((4,), 4.0))


def test_weights_and_smoothing_act_in_training_and_not_on_what_is_measured() -> None:
    options = {"class_weights": [1.0, 2.0, 3.0, 4.0], "label_smoothing": 0.2}
    made = with_counts(1, 1, 1, 1, **options)
    loss, _, logits = made.loss(*made.tensors(), batch(), None, None)
    each = [
        F.cross_entropy(logits[row], label, label_smoothing=0.2, weight=made.class_weights, reduction="sum")
        for row, label in enumerate(batch().targets)
    ]
    torch.testing.assert_close(loss, torch.stack(each).mean())
    measures = made.make_measures()
    made.measure(measures, batch())
    torch.testing.assert_close(measures["loss"].compute(), F.cross_entropy(logits, batch().targets))


@pytest.mark.parametrize("wrong", ["even", [1.0], [1.0, 2.0, 3.0, -1.0], "balanced"])
def test_weights_that_mean_nothing(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="class_weights="):
        Classification(GRU(NUMBERS, hidden_size=4), NUMBERS, Adam, class_weights=wrong)


def test_the_confusion_matrix_of_the_last_test_is_a_picture() -> None:
    made = task()
    made.tested = {"confusion": torch.tensor([[3, 1, 0, 0], [0, 4, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])}
    axes = made.pictures()["confusion"].axes[0]
    assert [text.get_text() for text in axes.texts] == ["3", "1", "4", "1", "1", "1", "1"]


def test_predictions_say_the_class_and_how_probable_each_is() -> None:
    made, some = task(), batch()
    shares = made.model(some.inputs, some.lengths).softmax(dim=-1)
    said = made.predictions(some)
    assert [row["class"] for row in said] == shares.argmax(dim=-1).tolist()
    torch.testing.assert_close(torch.tensor([row["probabilities"] for row in said]), shares)


@pytest.mark.parametrize("most", [1e-2, 1e3])
def test_gradients_are_clipped_to_the_last_bit_as_torch_clips_them(most: float) -> None:
    mine, theirs = task(), task()
    for each in (mine, theirs):
        each.training_step(batch(), 0).backward()
        next(each.model.parameters()).grad = None  # of a frozen one there is none
    mine.configure_gradient_clipping(None, most)
    norm = clip_grad_norm_(theirs.parameters(), most)
    assert torch.equal(mine.gradient_norm, norm)
    for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert one.grad is other.grad is None or torch.equal(one.grad, other.grad)


def test_without_gradients_there_is_nothing_to_clip() -> None:
    made = task()
    made.configure_gradient_clipping(None, 1.0)
    assert made.gradient_norm == 0
