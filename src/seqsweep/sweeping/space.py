"""The search space: Hydra's sweep grammar read as Optuna's distributions.

One expression means one space, whatever the sampler:

| expression | values |
|---|---|
| ``choice(a, b)`` or ``a,b`` | one of them |
| ``range(a, b, step)`` | a, a + step, ... below b (b excluded, as in Hydra) |
| ``interval(a, b)`` | a to b; integers if both ends are, then both included |
| ``int(interval(...))``, ``float(...)`` | the same as integers, as floats |
| ``tag(log, ...)`` | on a logarithmic scale |
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    IntervalSweep,
    Override,
    Quote,
    QuotedString,
    RangeSweep,
)
from hydra.errors import HydraException
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from seqsweep.errors import StudyError

if TYPE_CHECKING:
    from optuna.trial import Trial

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Parameter:
    """One searched key of the configuration."""

    key: str
    """As the user wrote it, a leading ``+`` or ``++`` included."""
    distribution: BaseDistribution
    texts: tuple[str, ...] = ()
    """How each choice is written in an override; empty for numbers."""

    def override(self, value: Value) -> str:
        """The override that sets the key to `value`."""
        if isinstance(self.distribution, CategoricalDistribution):
            return f"{self.key}={self.texts[int(self.distribution.to_internal_repr(value))]}"
        return f"{self.key}={value!r}"

    @property
    def finite(self) -> bool:
        """Whether the values can be enumerated."""
        spread = self.distribution
        return not isinstance(spread, FloatDistribution) or spread.step is not None

    def contains(self, value: object) -> bool:
        """Whether `value` is one of the parameter's."""
        spread = self.distribution
        if isinstance(spread, CategoricalDistribution):
            return any(type(value) is type(choice) and value == choice for choice in spread.choices)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return bool(spread._contains(float(value)))

    def widens(self, old: BaseDistribution) -> bool:
        """Whether every value of `old` is one of the parameter's, on the same scale."""
        new = self.distribution
        if type(new) is not type(old):
            return False
        if isinstance(old, CategoricalDistribution):
            return all(self.contains(choice) for choice in old.choices)
        assert isinstance(old, IntDistribution | FloatDistribution)
        assert isinstance(new, IntDistribution | FloatDistribution)
        same_scale = (new.log, new.step) == (old.log, old.step)
        return same_scale and self.contains(old.low) and self.contains(old.high)

    def corners(self) -> list[Value]:
        """The values where mistakes show: every choice, or both ends."""
        if isinstance(self.distribution, CategoricalDistribution):
            return list(self.distribution.choices)
        assert isinstance(self.distribution, IntDistribution | FloatDistribution)
        return [self.distribution.low, self.distribution.high]

    def grid(self) -> list[Value]:
        """All values, in the order of the expression. Raises StudyError where they have no end."""
        spread = self.distribution
        if isinstance(spread, CategoricalDistribution):
            return list(spread.choices)
        assert isinstance(spread, IntDistribution | FloatDistribution)
        if spread.step is None:
            raise StudyError(
                f"hydra.sweeper.params: {self.key} is an interval, which has no grid: "
                "expected choice(...) or range(...) with this sampler"
            )
        count = math.floor((spread.high - spread.low) / spread.step + 1e-8) + 1
        return [spread.low + i * spread.step for i in range(count)]


@dataclass(frozen=True)
class Condition:
    """Parameters that are searched only where others have certain values."""

    when: Mapping[str, Value]
    parameters: tuple[Parameter, ...]

    def holds(self, values: Mapping[str, Value]) -> bool:
        """Whether the suggested `values` meet the condition."""
        return all(key in values and values[key] == wanted for key, wanted in self.when.items())


@dataclass(frozen=True)
class SearchSpace:
    """What is searched, and the overrides that are the same in every trial."""

    parameters: tuple[Parameter, ...]
    conditions: tuple[Condition, ...] = ()
    fixed: tuple[str, ...] = ()

    @classmethod
    def parse(
        cls,
        params: Mapping[str, object],
        arguments: Sequence[str] = (),
        conditional: Iterable[Mapping[str, Any]] = (),
    ) -> SearchSpace:
        """Read a study file's ``params`` and the command line, which beats the file.

        Raises StudyError with the expression given and what is wrong with it.
        """
        written = {str(key): _parse(f"{key}={_text(value)}") for key, value in params.items()}
        typed = {_key(override): override for override in map(_parse, arguments)}
        taken = {key.lstrip("+") for key in typed}
        merged = {key: override for key, override in written.items() if key.lstrip("+") not in taken} | typed
        searched = [override for override in merged.values() if override.is_sweep_override()]
        fixed = [
            override.input_line or "" for override in merged.values() if not override.is_sweep_override()
        ]
        parameters = tuple(map(_parameter, searched))
        conditions = tuple(_condition(entry, parameters) for entry in conditional)
        return cls(parameters, conditions, tuple(fixed))

    @property
    def finite(self) -> bool:
        """Whether the space can be enumerated, so that a configuration may come twice."""
        return all(parameter.finite for parameter in self.all_parameters())

    def check(self, values: Mapping[str, Any]) -> None:
        """Raise StudyError if `values` names a key that is not searched, or a value outside the space."""
        if not isinstance(values, Mapping):
            raise StudyError(f"hydra.sweeper.enqueue: {values!r}: expected a mapping of parameters to values")
        known = {parameter.key: parameter for parameter in self.all_parameters()}
        for key, value in values.items():
            if key not in known:
                expected = ", ".join(known)
                raise StudyError(f"hydra.sweeper.enqueue: {key} is not searched: expected {expected}")
            if not known[key].contains(value):
                raise StudyError(
                    f"hydra.sweeper.enqueue: {key}={value} lies outside {known[key].distribution}"
                )

    def suggest(self, trial: Trial) -> dict[str, Value]:
        """Let Optuna draw one configuration; conditional parameters where their condition holds."""
        values: dict[str, Value] = {}
        for parameter in self.parameters:
            values[parameter.key] = _draw(trial, parameter)
        for condition in self.conditions:
            if condition.holds(values):
                for parameter in condition.parameters:
                    values[parameter.key] = _draw(trial, parameter)
        return values

    def overrides(self, values: Mapping[str, Value]) -> list[str]:
        """The Hydra overrides of one configuration, the fixed ones first."""
        known = {parameter.key: parameter for parameter in self.all_parameters()}
        return [*self.fixed, *(known[key].override(value) for key, value in values.items())]

    def all_parameters(self) -> list[Parameter]:
        """Every parameter, the conditional ones after the others."""
        return [*self.parameters, *(p for condition in self.conditions for p in condition.parameters)]

    def corners(self) -> list[list[str]]:
        """Configurations that try each parameter's corners, one parameter at a time.

        The first holds every parameter at its first corner. Nothing valid is left
        out by varying one at a time unless it is wrong only in combination.
        """
        base = {parameter.key: parameter.corners()[0] for parameter in self.parameters}
        found = [base]
        for parameter in self.parameters:
            found += [{**base, parameter.key: value} for value in parameter.corners()[1:]]
        for condition in self.conditions:
            held = base | dict(condition.when)
            for parameter in condition.parameters:
                first = {p.key: p.corners()[0] for p in condition.parameters}
                found += [{**held, **first, parameter.key: value} for value in parameter.corners()]
        return [self.overrides(values) for values in found]

    def grid(self) -> dict[str, list[Value]]:
        """All values of each parameter, for samplers that enumerate. Raises StudyError if endless."""
        return {parameter.key: parameter.grid() for parameter in self.all_parameters()}


def _draw(trial: Trial, parameter: Parameter) -> Value:
    key, spread = parameter.key, parameter.distribution
    if isinstance(spread, CategoricalDistribution):
        return trial.suggest_categorical(key, spread.choices)
    if isinstance(spread, IntDistribution):
        return trial.suggest_int(key, spread.low, spread.high, step=spread.step, log=spread.log)
    assert isinstance(spread, FloatDistribution)
    return trial.suggest_float(key, spread.low, spread.high, step=spread.step, log=spread.log)


def _text(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        raise StudyError(
            f"hydra.sweeper.params: the list {list(value)}: expected an expression; "
            f"write choice({', '.join(map(str, value))})"
        )
    return str(value)


def _parse(line: str) -> Override:
    try:
        override: Override = _parser().parse_override(line)
    except HydraException as error:
        reason = str(error).splitlines()[0]
        raise StudyError(f"'{line}' is not in Hydra's override grammar: {reason}") from None
    return override


def _parser() -> OverridesParser:
    """Hydra's parser, in which interval(1, 5) keeps its integers."""

    def interval(start: int | float, end: int | float) -> IntervalSweep:
        return IntervalSweep(start=start, end=end)

    # Hydra checks arguments against the annotations themselves, which in this module are text.
    interval.__annotations__ |= dict.fromkeys(("start", "end"), int | float)
    functions = create_functions()
    del functions.functions["interval"], functions.definitions["interval"]
    functions.register("interval", interval)
    return OverridesParser(functions=functions)


def _key(override: Override) -> str:
    return str(override.get_key_element())


def _parameter(override: Override) -> Parameter:
    key, sweep = _key(override), override.value()
    line = override.input_line
    if isinstance(sweep, ChoiceSweep):
        return _choice(key, sweep, line)
    if isinstance(sweep, RangeSweep):
        return Parameter(key, _range(sweep, line))
    if isinstance(sweep, IntervalSweep):
        return Parameter(key, _interval(sweep, line))
    assert isinstance(sweep, Glob) or sweep is not None
    raise StudyError(f"'{line}': glob(...) is not searched; name the options with choice(...)")


def _choice(key: str, sweep: ChoiceSweep, line: str | None) -> Parameter:
    values = tuple(_native(element, line) for element in sweep.list)
    if len(set(values)) < len(values):
        raise StudyError(f"'{line}': a choice is given twice: expected different values")
    texts = tuple(
        _quoted_if_needed(element)
        if isinstance(element, str)
        else Override._get_value_element_as_str(element)
        for element in sweep.list
    )
    return Parameter(key, CategoricalDistribution(values), texts)


def _native(element: object, line: str | None) -> Value:
    """The value Optuna stores: itself where Optuna can, the override's text for lists and mappings."""
    if isinstance(element, QuotedString):
        return element.text
    if isinstance(element, list | dict):
        return str(Override._get_value_element_as_str(element))
    if element is None or isinstance(element, str | int | float | bool):
        if isinstance(element, float) and not math.isfinite(element):
            raise StudyError(f"'{line}': {element} cannot be stored: expected finite numbers")
        return element
    raise StudyError(f"'{line}': {element!r} cannot be stored: expected text, numbers, lists or mappings")


def _quoted_if_needed(text: str) -> str:
    """`text` as an override's value. Hydra's functions drop the quotes of their arguments."""
    try:
        if _parser().parse_override(f"key={text}")._value == text:
            return text
    except HydraException:
        pass
    return QuotedString(text=text, quote=Quote.single).with_quotes()


def _range(sweep: RangeSweep, line: str | None) -> BaseDistribution:
    start, stop, step = sweep.start, sweep.stop, sweep.step
    if start is None or stop is None or not step:
        raise StudyError(f"'{line}': expected range(start, stop, step) with a step other than 0")
    count = math.ceil((stop - start) / step - 1e-12)
    if count < 1:
        raise StudyError(f"'{line}': the range is empty: expected start before stop")
    low, high = sorted((start, start + (count - 1) * step))
    log = _is_log(sweep.tags, line)
    if log and abs(step) != 1:
        raise StudyError(f"'{line}': a range on a logarithmic scale has step 1: use interval(...)")
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
        _check_bounds(low, high, log, line)
        return IntDistribution(int(low), int(high), log=log, step=abs(step))
    if log:
        raise StudyError(f"'{line}': a float range has no logarithmic scale: use tag(log, interval(...))")
    return FloatDistribution(float(low), float(high), step=abs(float(step)))


def _interval(sweep: IntervalSweep, line: str | None) -> BaseDistribution:
    low, high = sweep.start, sweep.end
    log = _is_log(sweep.tags, line)
    if low is None or high is None:
        raise StudyError(f"'{line}': expected interval(low, high)")
    _check_bounds(low, high, log, line)
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=log)
    return FloatDistribution(float(low), float(high), log=log)


def _check_bounds(low: float, high: float, log: bool, line: str | None) -> None:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise StudyError(f"'{line}': expected finite ends")
    if low > high:
        raise StudyError(f"'{line}': the ends are swapped: expected interval({high}, {low})")
    if log and low <= 0:
        raise StudyError(f"'{line}': a logarithmic scale needs ends above 0, not {low}")


def _is_log(tags: set[str], line: str | None) -> bool:
    if unknown := tags - {"log"}:
        raise StudyError(f"'{line}': unknown tag {sorted(unknown)[0]}: expected log")
    return "log" in tags


def _condition(entry: Mapping[str, Any], parameters: tuple[Parameter, ...]) -> Condition:
    if (
        not isinstance(entry, Mapping)
        or set(entry) != {"when", "params"}
        or not all(isinstance(part, Mapping) for part in entry.values())
    ):
        raise StudyError(
            f"hydra.sweeper.conditional: {entry}: expected the keys when and params, a mapping each"
        )
    known = {parameter.key: parameter for parameter in parameters}
    for key, value in entry["when"].items():
        if key not in known:
            raise StudyError(
                f"hydra.sweeper.conditional: when names {key}, which is not searched: "
                f"expected one of {', '.join(known)}"
            )
        spread = known[key].distribution
        if isinstance(spread, CategoricalDistribution) and value not in spread.choices:
            raise StudyError(f"hydra.sweeper.conditional: when {key}: {value} is none of {spread.choices}")
    searched = [_parse(f"{key}={_text(value)}") for key, value in entry["params"].items()]
    for override in searched:
        if not override.is_sweep_override() or _key(override) in known:
            raise StudyError(
                f"hydra.sweeper.conditional: '{override.input_line}': expected a sweep expression "
                "of a key that is not searched already"
            )
    return Condition(dict(entry["when"]), tuple(map(_parameter, searched)))
