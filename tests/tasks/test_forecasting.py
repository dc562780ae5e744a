from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Trainer
from torch.optim import Adam

from seqsweep.data import Batch, CsvForecasting, Examples
from seqsweep.errors import ConfigError
from seqsweep.models import GRU, LSTM
from seqsweep.spec import DataSpec
from seqsweep.tasks import Forecasting
from seqsweep.tasks.baselines import LinearMap
from seqsweep.training.quiet import quiet

DIRECT = DataSpec(
    name="tiny",
    kind="forecasting",
    input_size=3,
    output_size=8,
    horizon=4,
    target_columns=(2, 0),
    target_names=("c", "a"),
    target_means=(10.0, -1.0),
    target_scales=(2.0, 0.5),
    naive_errors=(0.5, 0.25),
)
STEPWISE = replace(
    DIRECT,
    per_step=True,
    output_size=3,
    target_columns=(0, 1, 2),
    target_names=("a", "b", "c"),
    target_means=(1.0, 2.0, 3.0),
    target_scales=(1.0, 2.0, 4.0),
    naive_errors=(0.5, 0.25, 1.0),
)


def task(spec: DataSpec = DIRECT, model: Any = GRU, **options: Any) -> Forecasting:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Forecasting(model(spec, hidden_size=5, dropout=0.3), spec, Adam, **options).eval()


def batch(spec: DataSpec = DIRECT, size: int = 6) -> Batch:
    random = torch.Generator().manual_seed(1)
    inputs = torch.randn(size, 7, 3, generator=random)
    return Batch(inputs, torch.randn(size, 4, len(spec.target_columns), generator=random))


@pytest.mark.parametrize("spec", [DIRECT, STEPWISE], ids=["direct", "autoregressive"])
@pytest.mark.parametrize("normalization", ["none", "last_value", "instance"])
def test_loss_is_a_pure_function_and_backward_agrees(spec: DataSpec, normalization: str) -> None:
    made = task(spec, normalization=normalization)
    made.generator = torch.Generator().manual_seed(3)
    params, buffers = made.tensors()
    masks = made.draw_masks(batch(spec))
    first, state, told = made.loss(params, buffers, batch(spec), None, masks)
    again, _, _ = made.loss(params, buffers, batch(spec), None, masks)
    assert torch.equal(first, again)
    assert state is None
    assert told.shape == batch(spec).targets.shape
    made.loss(params, buffers, batch(spec), None, None)[0].backward()
    plain = {name: value.detach() for name, value in params.items()}
    grads = torch.func.grad(lambda p: made.loss(p, buffers, batch(spec), None, None)[0])(plain)
    for name, parameter in params.items():
        torch.testing.assert_close(grads[name], parameter.grad)


def test_a_direct_forecast_is_the_models_output() -> None:
    made = task()
    told = made.forecast(batch())
    torch.testing.assert_close(told, made.model(batch().inputs).view(6, 4, 2))
    loss = made.loss(*made.tensors(), batch(), None, None)[0]
    torch.testing.assert_close(loss, (told - batch().targets).square().mean())


@pytest.mark.parametrize("model", [GRU, LSTM])
@pytest.mark.parametrize("normalization", ["none", "last_value", "instance"])
def test_an_autoregressive_forecast_reads_itself(model: Any, normalization: str) -> None:
    made = task(STEPWISE, model, normalization=normalization)
    told = made.forecast(batch(STEPWISE))
    read = batch(STEPWISE).inputs
    shift, scale = made._normalization(read)
    for step in range(4):  # from the beginning each time, without a state
        outputs = made.model((read - shift) / scale)[:, -1:] * scale + shift
        torch.testing.assert_close(told[:, step : step + 1], outputs)
        read = torch.cat([read, outputs], dim=1)


def test_fed_with_its_own_forecast_a_stepwise_model_tells_it() -> None:
    made = task(STEPWISE, normalization="last_value")
    free = made.forecast(batch(STEPWISE))
    fed = replace(batch(STEPWISE), targets=free)
    torch.testing.assert_close(made.loss(*made.tensors(), fed, None, None)[2], free)


def test_teacher_forcing_reads_the_true_steps_of_context_and_horizon() -> None:
    made = task(STEPWISE)
    loss, _, told = made.loss(*made.tensors(), batch(STEPWISE), None, None)
    series = torch.cat([batch(STEPWISE).inputs, batch(STEPWISE).targets], dim=1)
    outputs = made.model(series[:, :-1])
    torch.testing.assert_close(loss, (outputs - series[:, 1:]).square().mean())
    torch.testing.assert_close(told, outputs[:, -4:])


@pytest.mark.parametrize("spec", [DIRECT, STEPWISE], ids=["direct", "autoregressive"])
def test_a_window_moved_or_stretched_moves_its_forecast(spec: DataSpec) -> None:
    at = batch(spec)
    moved = replace(at, inputs=at.inputs + 100)
    for normalization in ("last_value", "instance"):
        made = task(spec, normalization=normalization)
        torch.testing.assert_close(made.forecast(moved), made.forecast(at) + 100, atol=1e-3, rtol=0)
    stretched = replace(at, inputs=at.inputs * 50)
    made = task(spec, normalization="instance")
    torch.testing.assert_close(made.forecast(stretched), made.forecast(at) * 50, atol=2e-2, rtol=1e-3)


def test_measures_by_hand() -> None:
    made = task(STEPWISE)
    measures = made.make_measures()
    whole = batch(STEPWISE)
    for rows in (slice(0, 4), slice(4, 6)):
        made.measure(measures, Batch(whole.inputs[rows], whole.targets[rows]))
    errors = made.forecast(whole) - whole.targets
    found = {name: measure.compute().item() for name, measure in measures.items()}
    assert found["mse"] == pytest.approx(errors.square().mean().item())
    assert found["mae"] == pytest.approx(errors.abs().mean().item())
    assert found["mase"] == pytest.approx((errors.abs() / torch.tensor([0.5, 0.25, 1.0])).mean().item())
    assert found["loss"] == pytest.approx(made.loss(*made.tensors(), whole, None, None)[0].item())
    assert {f"val/{name}" for name in measures} == set(Forecasting.metrics)
    assert Forecasting.monitor[0] in Forecasting.metrics


def test_predictions_are_in_their_own_units() -> None:
    made = task()
    expected = made.forecast(batch()) * torch.tensor([2.0, 0.5]) + torch.tensor([10.0, -1.0])
    unknown = replace(batch(), targets=torch.full((6, 4, 2), torch.nan))
    torch.testing.assert_close(torch.tensor(made.predictions(unknown)), expected)


def test_masks_are_drawn_for_all_steps_that_are_read() -> None:
    made = task(STEPWISE)
    made.generator = torch.Generator().manual_seed(3)
    masks = made.draw_masks(batch(STEPWISE))
    assert masks.dropout[0].shape == (6, 7 + 3, 5)
    assert made.training_step(batch(STEPWISE), 0).requires_grad


def test_what_does_not_suit_is_refused() -> None:
    with pytest.raises(ConfigError, match="normalization=mean: expected one of none, last_value, instance"):
        task(normalization="mean")
    with pytest.raises(
        ConfigError, match=r"expected model.bidirectional=false with data.method=autoregressive"
    ):
        Forecasting(GRU(STEPWISE, bidirectional=True), STEPWISE, Adam)
    Forecasting(GRU(DIRECT, bidirectional=True), DIRECT, Adam)
    with pytest.raises(ConfigError, match="expected task=regression"):
        Forecasting(GRU(DIRECT), replace(DIRECT, kind="regression"), Adam)


def test_the_linear_map_is_the_least_squares_one() -> None:
    random = np.random.default_rng(0)
    inputs = random.normal(size=(50, 6, 3)).astype(np.float32)
    targets = random.normal(size=(50, 4, 2)).astype(np.float32)
    fitted = LinearMap.fit(Examples(torch.from_numpy(inputs), torch.from_numpy(targets)), (2, 0))
    known = inputs[..., [2, 0]].transpose(0, 2, 1).reshape(100, 6)
    known = np.hstack([known, np.ones((100, 1))])
    weights = np.linalg.lstsq(known, targets.transpose(0, 2, 1).reshape(100, 4), rcond=None)[0]
    np.testing.assert_allclose(fitted.weights, weights, atol=1e-5)
    told = fitted(torch.from_numpy(inputs[..., [2, 0]]))
    np.testing.assert_allclose(told, (known @ weights).reshape(50, 2, 4).transpose(0, 2, 1), atol=1e-4)


def test_a_constant_series_has_a_linear_map_too() -> None:
    fitted = LinearMap.fit(Examples(torch.ones(5, 6, 1), torch.full((5, 4, 1), 3.0)), (0,))
    torch.testing.assert_close(fitted(torch.ones(1, 6, 1)), torch.full((1, 4, 1), 3.0))


def waves(folder: Path, **options: Any) -> CsvForecasting:
    rows = np.arange(80)
    noise = np.random.default_rng(0).normal(size=(80, 2))
    table = pd.DataFrame({"a": np.sin(rows / 3), "b": np.cos(rows / 5)}) + 0.1 * noise
    table.insert(0, "day", pd.date_range("2020-01-01", periods=80).strftime("%Y-%m-%d"))
    table.to_csv(folder / "waves.csv", index=False)
    shares = {"val_share": 0.2, "test_share": 0.2}
    return CsvForecasting(train=str(folder / "waves.csv"), context=6, horizon=3, **shares, **options)  # type: ignore[arg-type]


def logged_by(made: Forecasting, data: CsvForecasting) -> dict[str, float]:
    with quiet():
        trainer = Trainer(
            logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
            accelerator="cpu",
        )  # fmt: skip
        [logged] = trainer.test(made, datamodule=data, verbose=False)
    return dict(logged)


@pytest.mark.parametrize("method", ["direct", "autoregressive"])
def test_a_test_logs_baselines_and_draws_its_forecasts(tmp_path: Path, method: str) -> None:
    data = waves(tmp_path, method=method)
    made = Forecasting(GRU(data.spec, hidden_size=4), data.spec, Adam)
    logged = logged_by(made, data)
    test = data.splits.test.cut(torch.arange(len(data.splits.test)))
    last = (test.inputs[:, -1:] - test.targets).square().mean().item()
    linear = LinearMap.fit(data.splits.train, (0, 1))(test.inputs) - test.targets
    assert logged["test/last_value_mse"] == pytest.approx(last, rel=1e-4)
    assert logged["test/linear_mse"] == pytest.approx(linear.square().mean().item(), rel=1e-4)
    assert logged["test/linear_mae"] == pytest.approx(linear.abs().mean().item(), rel=1e-4)
    pictures = made.pictures()
    assert set(pictures) == {"forecast_a", "forecast_b"}
    panels = pictures["forecast_a"].axes
    assert len(panels) == 4
    context, true, told = panels[0].lines[1:]
    own = pd.read_csv(tmp_path / "waves.csv")["a"]
    np.testing.assert_allclose(context.get_ydata(), own[58:64], atol=1e-5)  # before the test's first row
    np.testing.assert_allclose(true.get_ydata(), own[63:67], atol=1e-5)
    first = made.predictions(test)[0]
    np.testing.assert_allclose(np.asarray(told.get_ydata())[1:], np.array(first)[:, 0], atol=1e-4)


def test_a_stored_run_is_compared_with_the_linear_map_again(tmp_path: Path) -> None:
    data, again = waves(tmp_path), waves(tmp_path)
    again.use(data.fitted)
    made = Forecasting(GRU(data.spec, hidden_size=4), data.spec, Adam)
    assert made.pictures() == {}
    assert logged_by(Forecasting(made.model, data.spec, Adam), again) == logged_by(made, data)


def test_without_the_training_file_the_linear_map_is_left_out(tmp_path: Path) -> None:
    data = waves(tmp_path)
    gone = CsvForecasting(
        train=str(tmp_path / "gone.csv"), test=str(tmp_path / "waves.csv"), context=6, horizon=3
    )
    gone.use(data.fitted)
    logged = logged_by(Forecasting(GRU(data.spec, hidden_size=4), data.spec, Adam), gone)
    assert "test/mse" in logged
    assert not {"test/linear_mse", "test/linear_mae"} & set(logged)


def test_the_linear_baseline_of_etth1(real_data: Path) -> None:
    data = CsvForecasting(
        root=real_data, dataset="etth1", train="ETTh1.csv", train_steps=8640, val_steps=2880, test_steps=2880
    )
    test = data.splits.test.cut(torch.arange(len(data.splits.test)))
    linear = LinearMap.fit(data.splits.train, data.spec.target_columns)
    assert (linear(test.inputs) - test.targets).square().mean().item() == pytest.approx(0.309, abs=5e-4)
    assert (test.inputs[:, -1:] - test.targets).square().mean().item() == pytest.approx(1.222, abs=5e-4)
