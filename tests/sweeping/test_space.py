from __future__ import annotations

import math

import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from seqsweep.errors import StudyError
from seqsweep.sweeping import SearchSpace


def distribution(expression: str) -> optuna.distributions.BaseDistribution:
    (parameter,) = SearchSpace.parse({"key": expression}).parameters
    return parameter.distribution


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("choice(rnn, lstm, gru)", CategoricalDistribution(("rnn", "lstm", "gru"))),
        ("rnn,lstm", CategoricalDistribution(("rnn", "lstm"))),
        ("choice(1, 2.5, text)", CategoricalDistribution((1, 2.5, "text"))),
        ("2,null", CategoricalDistribution((2, None))),
        ("choice('a b', \"c,d\")", CategoricalDistribution(("a b", "c,d"))),
        ("choice([1,2], [3])", CategoricalDistribution(("[1,2]", "[3]"))),
        ("range(1, 4)", IntDistribution(1, 3)),
        ("range(0, 10, 3)", IntDistribution(0, 9, step=3)),
        ("range(10, 0, -5)", IntDistribution(5, 10, step=5)),
        ("range(0.0, 1.0, 0.25)", FloatDistribution(0.0, 0.75, step=0.25)),
        ("interval(1, 5)", IntDistribution(1, 5)),
        ("interval(0.5, 2)", FloatDistribution(0.5, 2.0)),
        ("float(interval(1, 5))", FloatDistribution(1.0, 5.0)),
        ("int(interval(1.2, 5.7))", IntDistribution(1, 5)),
        ("tag(log, interval(1e-4, 1e-2))", FloatDistribution(1e-4, 1e-2, log=True)),
        ("tag(log, int(interval(8, 512)))", IntDistribution(8, 512, log=True)),
        ("tag(log, range(1, 9))", IntDistribution(1, 8, log=True)),
    ],
)
def test_an_expression_means_one_space(expression: str, expected: object) -> None:
    assert distribution(expression) == expected


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("interval(2, 1)", r"ends are swapped: expected interval\(1, 2\)"),
        ("tag(log, interval(0, 1))", "needs ends above 0, not 0"),
        ("tag(log, interval(-1.0, 1.0))", "needs ends above 0"),
        ("range(3, 3)", "range is empty"),
        ("choice(a, a)", "given twice"),
        ("choice(1, 1.0)", "given twice"),
        ("choice(inf, 1.0)", "expected finite"),
        ("tag(linear, interval(1, 2))", "unknown tag linear"),
        ("choice(a", "not in Hydra's override grammar"),
        ("glob(*)", "name the options with choice"),
    ],
)
def test_a_wrong_expression_says_what_was_given_and_expected(expression: str, reason: str) -> None:
    with pytest.raises(StudyError, match=reason):
        SearchSpace.parse({"key": expression})


def test_the_command_line_beats_the_file() -> None:
    space = SearchSpace.parse(
        {"model": "choice(rnn, gru)", "optimizer.lr": "interval(0.1, 0.2)", "data": "digits"},
        ["model=lstm", "optimizer.lr=interval(0.3,0.4)", "+new=1"],
    )
    assert [p.key for p in space.parameters] == ["optimizer.lr"]
    assert space.parameters[0].distribution == FloatDistribution(0.3, 0.4)
    assert space.fixed == ("data=digits", "model=lstm", "+new=1")


def test_conditional_parameters_are_drawn_where_their_condition_holds() -> None:
    space = SearchSpace.parse(
        {"model": "choice(lstm, gru)"},
        conditional=[{"when": {"model": "lstm"}, "params": {"model.forget_bias": "choice(0.0, 1.0)"}}],
    )
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(20):
        values = space.suggest(study.ask())
        assert ("model.forget_bias" in values) == (values["model"] == "lstm")


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"when": {"modle": "lstm"}, "params": {"x": "choice(1,2)"}}, "modle, which is not searched"),
        ({"when": {"model": "rnn"}, "params": {"x": "choice(1,2)"}}, "is none of"),
        ({"when": {"model": "lstm"}, "params": {"x": "1"}}, "expected a sweep expression"),
        ({"if": {"model": "lstm"}}, "expected the keys when and params"),
    ],
)
def test_a_wrong_condition_is_refused(entry: dict[str, object], reason: str) -> None:
    with pytest.raises(StudyError, match=reason):
        SearchSpace.parse({"model": "choice(lstm, gru)"}, conditional=[entry])


def test_corners_try_every_choice_and_both_ends_once() -> None:
    space = SearchSpace.parse({"a": "choice(x, y)", "b": "interval(1, 9)"})
    assert space.corners() == [["a=x", "b=1"], ["a=y", "b=1"], ["a=x", "b=9"]]


def test_integers_have_a_grid_on_any_scale() -> None:
    space = SearchSpace.parse({"a": "tag(log, range(1, 5))", "b": "interval(3, 5)"})
    assert space.grid() == {"a": [1, 2, 3, 4], "b": [3, 4, 5]}


def test_an_interval_has_no_grid() -> None:
    with pytest.raises(StudyError, match="which has no grid"):
        SearchSpace.parse({"a": "interval(0.0, 1.0)"}).grid()


# ------------------------------------------------------------------------- laws

words = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8)
choices = st.one_of(
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False, width=64),
    st.booleans(),
    words,
)


def written(value: object) -> str:
    if isinstance(value, str):
        return QuotedString(text=value, quote=Quote.single).with_quotes()
    return str(value).lower() if isinstance(value, bool) else repr(value)


@given(st.lists(choices, min_size=1, max_size=5, unique=True))
def test_every_choice_parses_back_to_itself(values: list[object]) -> None:
    space = SearchSpace.parse({"key": f"choice({', '.join(map(written, values))})"})
    (parameter,) = space.parameters
    for value in parameter.grid():
        parsed = OverridesParser.create().parse_override(parameter.override(value)).value()
        assert parsed == value
        assert type(parsed) is type(value)


@given(st.integers(-50, 50), st.integers(1, 40), st.integers(1, 7))
def test_a_grid_is_what_python_and_hydra_enumerate(start: int, length: int, step: int) -> None:
    space = SearchSpace.parse({"key": f"range({start},{start + length},{step})"})
    assert space.grid()["key"] == list(range(start, start + length, step))


@given(
    st.floats(-1e6, 1e6, allow_subnormal=False),
    st.floats(1e-3, 1e6, allow_subnormal=False),
    st.booleans(),
    st.integers(0, 2**31 - 1),
)
def test_suggestions_stay_inside_and_parse_back(low: float, width: float, log: bool, seed: int) -> None:
    low = abs(low) + 1e-3 if log else low
    expression = f"interval({low!r}, {low + width!r})"
    space = SearchSpace.parse({"key": f"tag(log, {expression})" if log else expression})
    for sampler in (optuna.samplers.RandomSampler(seed), optuna.samplers.TPESampler(seed=seed)):
        values = space.suggest(optuna.create_study(sampler=sampler).ask())
        value = values["key"]
        assert isinstance(value, float)
        assert math.nextafter(low, -math.inf) <= value <= math.nextafter(low + width, math.inf)
        (override,) = space.overrides(values)
        assert OverridesParser.create().parse_override(override).value() == value
