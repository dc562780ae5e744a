"""The options of RNN, LSTM and GRU: what each does, what all of them must not change, what is refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from models.model_cases import NUMBERS, TOKENS, generator, numbers, tokens
from seqsweep import paths
from seqsweep.data import Batch
from seqsweep.errors import ConfigError
from seqsweep.models import GRU, LSTM, RNN, RecurrentModel, Seq2Seq
from seqsweep.models.layers import last_step, run_layers
from seqsweep.models.pooling import POOLINGS
from seqsweep.models.recurrent import RecurrentMasks
from seqsweep.spec import DataSpec

MODELS: dict[str, Any] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
LANGUAGE = DataSpec(name="language", vocabulary_size=7, output_size=7, per_step=True)
TAGS = replace(TOKENS, name="tags", per_step=True)
OWN: dict[str, dict[str, list[Any]]] = {
    "rnn": {"nonlinearity": ["tanh", "relu"], "recurrent_init": ["uniform", "orthogonal", "identity"]},
    "lstm": {"forget_bias": [None, 1.0], "projection_size": [None, 3], "recurrent_init": ["orthogonal"]},
    "gru": {"reset_after": [True, False], "recurrent_init": ["orthogonal"]},
}
EACH: list[tuple[str, dict[str, Any]]] = [
    *[
        (name, options)
        for name in MODELS
        for options in (
            {},
            {"num_layers": 3, "dropout": 0.4},
            {"bidirectional": True},
            {"recurrent_dropout": 0.4},
            {"num_layers": 2, "bidirectional": True, "dropout": 0.4, "recurrent_dropout": 0.4},
            {"num_layers": 3, "residual": True, "dropout": 0.4},
            {"layer_norm": True, "num_layers": 2, "bidirectional": True},
            {"pooling": "mean"},
            {"pooling": "max", "bidirectional": True},
            {"pooling": "attention", "bidirectional": True, "dropout": 0.4},
            {"recurrent_init": "orthogonal"},
            {"explicit_loop": True, "num_layers": 2, "bidirectional": True},
        )
    ],
    ("rnn", {"recurrent_init": "identity", "nonlinearity": "relu"}),
    ("lstm", {"forget_bias": 1.0}),
    ("lstm", {"projection_size": 3, "num_layers": 2, "bidirectional": True, "residual": True}),
    ("lstm", {"projection_size": 3, "layer_norm": True, "recurrent_dropout": 0.4}),
    ("gru", {"reset_after": False, "num_layers": 2, "bidirectional": True}),
    ("gru", {"reset_after": False, "layer_norm": True, "recurrent_dropout": 0.4}),
]
ON_TOKENS: list[tuple[str, dict[str, Any]]] = [
    ("gru", {"embedding_dropout": 0.4, "embedding_size": 3}),
    ("lstm", {"embedding_dropout": 0.4, "dropout": 0.4, "recurrent_dropout": 0.4}),
]


def made(name: str, spec: DataSpec = NUMBERS, seed: int = 0, **options: Any) -> RecurrentModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = MODELS[name](spec, **{"hidden_size": 4} | options).double()
    assert isinstance(built, RecurrentModel)
    return built


@dataclass(frozen=True)
class Case:
    """A model and a padded batch with the masks of a training step."""

    name: str
    spec: DataSpec
    options: dict[str, Any]
    lengths: list[int]
    seed: int

    def network(self) -> RecurrentModel:
        return made(self.name, self.spec, self.seed, **self.options)

    def batch(self) -> Batch:
        shape = (len(self.lengths), max(self.lengths), self.seed)
        inputs = numbers(*shape).double() if self.spec.vocabulary_size is None else tokens(*shape)
        return Batch(inputs, torch.zeros(len(self.lengths)), torch.tensor(self.lengths))


@st.composite
def cases(draw: Callable[..., Any], carried: bool = False) -> Case:
    """Any model with any options that go together."""
    name = draw(st.sampled_from(list(MODELS)))
    spec = draw(
        st.sampled_from([LANGUAGE, TAGS, replace(NUMBERS, per_step=True)] + [NUMBERS, TOKENS] * (not carried))
    )
    options = {key: draw(st.sampled_from(values)) for key, values in OWN[name].items()}
    options |= {
        "num_layers": draw(st.integers(1, 3)),
        "bidirectional": not carried and draw(st.booleans()),
        "layer_norm": draw(st.booleans()),
        "explicit_loop": draw(st.booleans()),
        "dropout": draw(st.sampled_from([0.0, 0.4])),
        "recurrent_dropout": draw(st.sampled_from([0.0, 0.4])),
    }
    options["residual"] = options["num_layers"] > 1 and draw(st.booleans())
    if not spec.per_step:
        options["pooling"] = draw(st.sampled_from(list(POOLINGS)))
    if spec.vocabulary_size is not None:
        options["embedding_dropout"] = draw(st.sampled_from([0.0, 0.4]))
    if spec is LANGUAGE and draw(st.booleans()):
        features = (options.get("projection_size") or 4) * (1 + options["bidirectional"])
        options |= {"tied_embeddings": True, "embedding_size": features}
    lengths = draw(st.lists(st.integers(1, 6), min_size=2, max_size=4))
    return Case(name, spec, options, lengths, draw(st.integers(0, 999)))


def of_rows(masks: RecurrentMasks | None, rows: Any, time: int | None = None) -> RecurrentMasks | None:
    """The masks of some rows, cut or padded to `time` steps where they have steps."""
    if masks is None:
        return None

    def cut(mask: Tensor, steps_at: int) -> Tensor:
        mask = mask[rows]
        if time is None or mask.ndim < steps_at:
            return mask
        more = max(0, time - mask.shape[1])
        return F.pad(mask[:, :time], (0, 0) * (mask.ndim - 2) + (0, more), value=3.0)

    return RecurrentMasks(
        tuple(cut(mask, 3) for mask in masks.dropout),
        tuple(mask[rows] for mask in masks.recurrent),
        tuple(cut(mask, 2) for mask in masks.embedding),
    )


def true_rows(case: Case, logits: Tensor) -> list[Tensor]:
    """What counts of the logits: the true steps, or all of them with one output a sequence."""
    if not case.spec.per_step:
        return list(logits)
    return [row[:length] for row, length in zip(logits, case.lengths, strict=True)]


@settings(max_examples=60, deadline=None)
@given(case=cases(), more=st.integers(1, 4))
def test_nothing_changes_when_padded_further_permuted_or_split(case: Case, more: int) -> None:
    hold_to_the_laws(case, more)


@pytest.mark.parametrize(("name", "options"), EACH)
def test_nothing_changes_for_each_option(name: str, options: dict[str, Any]) -> None:
    hold_to_the_laws(Case(name, NUMBERS, options, [3, 6, 1, 4], seed=1), more=2)
    if "pooling" not in options:
        hold_to_the_laws(Case(name, TAGS, options, [3, 6, 1, 4], seed=1), more=2)


@pytest.mark.parametrize(("name", "options"), ON_TOKENS)
def test_nothing_changes_for_each_option_on_tokens(name: str, options: dict[str, Any]) -> None:
    hold_to_the_laws(Case(name, TOKENS, options, [3, 6, 1, 4], seed=1), more=2)


def hold_to_the_laws(case: Case, more: int) -> None:
    network, batch = case.network(), case.batch()
    inputs, lengths, time = batch.inputs, batch.lengths, batch.inputs.shape[1]
    assert lengths is not None
    masks = network.draw_masks(batch, generator(case.seed))
    drawn = [key for key in ("dropout", "recurrent_dropout", "embedding_dropout") if case.options.get(key)]
    assert (masks is None) == (not drawn)
    expected = true_rows(case, network(inputs, lengths, masks))

    everything = slice(None)
    noise = torch.full((len(inputs), more, *inputs.shape[2:]), 5, dtype=inputs.dtype)
    wider = network(torch.cat([inputs, noise], dim=1), lengths, of_rows(masks, everything, time + more))
    torch.testing.assert_close(true_rows(case, wider), expected)

    order = torch.randperm(len(inputs), generator=generator(case.seed))
    permuted = network(inputs[order], lengths[order], of_rows(masks, order))
    again = replace(case, lengths=lengths[order].tolist())
    torch.testing.assert_close(true_rows(again, permuted), [expected[row] for row in order])

    for row, length in enumerate(case.lengths):
        one = slice(row, row + 1)
        alone = network(inputs[one, :length], None, of_rows(masks, one, length))
        torch.testing.assert_close(alone[0], expected[row])


@settings(max_examples=40, deadline=None)
@given(case=cases())
def test_the_loop_and_the_kernels_agree(case: Case) -> None:
    fast = replace(case, options=case.options | {"explicit_loop": False}).network()
    loop = replace(case, options=case.options | {"explicit_loop": True}).network()
    loop.load_state_dict(fast.state_dict())
    batch = case.batch()
    masks = fast.draw_masks(batch, generator(1))
    for given_masks in (None, masks):
        results = [network(batch.inputs, batch.lengths, given_masks) for network in (fast, loop)]
        torch.testing.assert_close(*[torch.cat(true_rows(case, logits)) for logits in results])


class Calls(TorchFunctionMode):
    """Counts the calls of PyTorch's recurrent kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.kernels += func.__name__ in ("rnn_tanh", "rnn_relu", "lstm", "gru")
        return func(*args, **(kwargs or {}))


def kernels(network: RecurrentModel, *args: Any, **options: Any) -> int:
    """How many kernel calls `network` makes where nothing is to be differentiated."""
    with torch.no_grad(), Calls() as calls:
        network(*args, **options)
    return calls.kernels


@pytest.mark.parametrize("name", MODELS)
def test_kernels_are_used_wherever_the_options_allow(name: str) -> None:
    inputs, lengths = numbers().double(), torch.tensor([6, 1, 3, 6, 2])
    for options in (
        {},
        {"recurrent_init": "orthogonal"},
        {"pooling": "attention"},
        {"recurrent_dropout": 0.4},
    ):
        assert kernels(made(name, num_layers=2, **options), inputs, lengths) == 1
    assert kernels(made(name, num_layers=2, bidirectional=True), inputs) == 1
    assert kernels(made(name, num_layers=2, bidirectional=True), inputs, lengths) == 4
    deep = made(name, num_layers=3, residual=True, dropout=0.4)
    masks = deep.draw_masks(Batch(inputs, torch.zeros(5)), generator())
    assert kernels(deep, inputs, lengths, masks) == 3
    carrying = made(name)
    assert kernels(carrying, inputs, state=carrying.start(5)) == 1

    assert kernels(carrying, inputs, lengths, state=carrying.start(5)) == 0
    for options in ({"explicit_loop": True}, {"layer_norm": True}):
        assert kernels(made(name, **options), inputs, lengths) == 0
    dropping = made(name, recurrent_dropout=0.4)
    masks = dropping.draw_masks(Batch(inputs, torch.zeros(5)), generator())
    assert kernels(dropping, inputs, lengths, masks) == 0


@pytest.mark.parametrize("name", MODELS)
def test_on_a_processor_our_loop_trains_what_it_is_faster_at(name: str) -> None:
    network, inputs = made(name, num_layers=2), numbers().double()
    with Calls() as calls:
        logits = network(inputs)
    assert calls.kernels == (1 if name == "lstm" else 0)
    with torch.no_grad():
        torch.testing.assert_close(network(inputs), logits.detach())


def test_what_pytorch_has_no_kernel_for() -> None:
    assert kernels(made("gru", reset_after=False), numbers().double()) == 0
    assert kernels(made("lstm", projection_size=3), numbers().double()) == 0  # on a CPU


@settings(max_examples=40, deadline=None)
@given(case=cases(carried=True), at=st.integers(1, 5))
def test_a_carried_state_makes_two_parts_one_sequence(case: Case, at: int) -> None:
    network, batch = case.network(), case.batch()
    inputs, lengths = batch.inputs, batch.lengths
    assert lengths is not None
    whole = true_rows(case, network(inputs, lengths))
    later = lengths > at
    first, state = network(inputs[:, :at], lengths.clamp(max=at), state=network.start(len(inputs)))
    kept = of_state(state, later)
    found = [row[: min(length, at)] for row, length in zip(first, case.lengths, strict=True)]
    if later.any():
        second, _ = network(inputs[later, at:], lengths[later] - at, state=kept)
        for row, rest in zip(later.nonzero().flatten().tolist(), second, strict=True):
            found[row] = torch.cat([found[row], rest[: case.lengths[row] - at]])
    torch.testing.assert_close(found, whole)


def of_state(state: Any, rows: Tensor) -> Any:
    return tuple(part[:, rows] for part in state) if isinstance(state, tuple) else state[:, rows]


@pytest.mark.parametrize("name", MODELS)
def test_the_state_without_padding_is_the_kernels(name: str) -> None:
    network, inputs = made(name, replace(NUMBERS, per_step=True), num_layers=2), numbers().double()
    _, state = network(inputs, state=network.start(5))
    torch.testing.assert_close(state, network.recurrent(inputs)[1])
    full, lengths_given = network(inputs, torch.full((5,), 6), state=network.start(5))
    torch.testing.assert_close(full, network(inputs))
    torch.testing.assert_close(lengths_given, state)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_stop_where_the_state_is_detached(name: str) -> None:
    network = made(name, replace(NUMBERS, per_step=True))
    first, second = numbers(seed=1).double().requires_grad_(), numbers(seed=2).double()
    _, state = network(first, state=network.start(5))
    logits, _ = network(second, state=state)
    [through] = torch.autograd.grad(logits.sum(), first)
    assert through.abs().sum() > 0
    _, state = network(first, state=network.start(5))
    cut = tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()
    logits, _ = network(second, state=cut)
    assert torch.autograd.grad(logits.sum(), first, allow_unused=True) == (None,)


def test_a_bidirectional_model_carries_no_state() -> None:
    network = made("gru", bidirectional=True)
    message = "bidirectional=True: expected false where the state is carried from batch to batch"
    with pytest.raises(ConfigError, match=message):
        network.start(5)
    with pytest.raises(ConfigError, match=message):
        network(numbers().double(), state=torch.zeros(2, 5, 4))


@pytest.mark.parametrize("name", MODELS)
def test_residual_connections_by_hand(name: str) -> None:
    network = made(name, num_layers=3, residual=True, dropout=0.4)
    inputs = numbers().double()
    masks = network.draw_masks(Batch(inputs, torch.zeros(5)), generator())
    assert masks is not None
    steps, own = inputs, network.recurrent.state_dict()
    for layer in range(3):
        size = steps.shape[-1]
        below = type(network.recurrent)(size, 4, batch_first=True).double()
        below.load_state_dict(
            {key.replace(f"_l{layer}", "_l0"): own[key] for key in own if f"_l{layer}" in key}
        )
        above = below(steps)[0] * (masks.dropout[layer] if layer < 2 else 1)
        steps = above + steps if layer else above
    torch.testing.assert_close(network(inputs, None, masks), network.head(steps[:, -1] * masks.dropout[2]))


@pytest.mark.parametrize("name", MODELS)
def test_each_mask_is_put_where_it_belongs(name: str) -> None:
    network = made(name, num_layers=2, bidirectional=True, dropout=0.4, recurrent_dropout=0.4)
    inputs, lengths = numbers().double(), torch.tensor([6, 1, 3, 6, 2])
    masks = network.draw_masks(Batch(inputs, torch.zeros(5), lengths), generator())
    assert masks is not None
    between, final = masks.dropout
    outputs, _ = run_layers(network.recurrent, inputs, lengths, [between], recurrent_masks=masks.recurrent)
    expected = network.head(last_step(outputs, lengths, 4) * final)
    torch.testing.assert_close(network(inputs, lengths, masks), expected)


def test_embedding_dropout_drops_a_token_wherever_it_stands() -> None:
    network = made("gru", TOKENS, embedding_dropout=0.5)
    inputs = tokens(40, 30)
    masks = network.draw_masks(Batch(inputs, torch.zeros(40)), generator())
    assert masks is not None
    [mask] = masks.embedding
    assert mask.shape == (40, 30)
    assert mask.unique().tolist() == [0.0, 2.0]
    for row, drawn in zip(inputs, mask, strict=True):
        assert all(len(drawn[row == token].unique()) <= 1 for token in range(7))
    assert len({tuple(drawn.tolist()) for drawn in mask}) > 1
    logits = network(inputs, None, masks)
    embedded = network.inputs(inputs) * mask.unsqueeze(-1)
    torch.testing.assert_close(logits, network.head(network.recurrent(embedded)[0][:, -1]))


def test_tied_embeddings_are_one_parameter() -> None:
    network = made("lstm", LANGUAGE, tied_embeddings=True)
    names = [name for name, _ in network.named_parameters()]
    assert names.count("inputs.weight") + names.count("head.weight") == 1
    network(tokens()).sum().backward()
    assert network.inputs.weight is network.head.weight
    assert network.inputs.weight.abs().max() <= 0.5  # in the head's range, 1 / sqrt(4)
    other = made("lstm", LANGUAGE, seed=1, tied_embeddings=True)
    other.load_state_dict(network.state_dict())
    torch.testing.assert_close(other(tokens()), network(tokens()))
    parameters = {name: value * 2 for name, value in network.named_parameters()}
    doubled = functional_call(network, parameters, (tokens(),))
    with torch.no_grad():
        for value in network.parameters():
            value.mul_(2)
    torch.testing.assert_close(doubled, network(tokens()))


def test_masks_follow_from_the_generator_alone_at_the_models_own_shapes() -> None:
    network = made("lstm", TAGS, num_layers=2, bidirectional=True, projection_size=3, hidden_size=4,
                   dropout=0.3, recurrent_dropout=0.3, embedding_dropout=0.3)  # fmt: skip
    batch = Batch(tokens(), torch.zeros(5))
    before = torch.get_rng_state()
    first, again, other = (network.draw_masks(batch, generator(seed)) for seed in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    shapes = [[tuple(mask.shape) for mask in masks] for masks in first]
    assert shapes == [[(5, 6, 6)] * 2, [(5, 3)] * 4, [(5, 6)]]
    for one, same, different in zip(first, again, other, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
        assert not torch.equal(one[0], different[0])
    network(batch.inputs, None, first)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(("name", "options"), [*EACH, *ON_TOKENS])
def test_many_at_once_are_as_each_alone(name: str, options: dict[str, Any]) -> None:
    """torch.func.vmap over parameters and masks, as a stack of trials does it, and the gradients."""
    spec = TOKENS if (name, options) in ON_TOKENS else NUMBERS
    options = options | {"explicit_loop": True}
    networks = [made(name, spec, seed, **options) for seed in range(2)]
    inputs, lengths = (tokens() if spec is TOKENS else numbers().double()), torch.tensor([6, 1, 3, 6, 2])
    batch = Batch(inputs, torch.zeros(5), lengths)
    drawn = [network.draw_masks(batch, generator(seed)) for seed, network in enumerate(networks)]
    masks = None
    if drawn[0] is not None:
        masks = RecurrentMasks(
            *(tuple(map(torch.stack, zip(*kind, strict=True))) for kind in zip(*drawn, strict=True))
        )

    def loss(parameters: dict[str, Tensor], masks: RecurrentMasks | None) -> Tensor:
        logits: Tensor = functional_call(networks[0], parameters, (inputs, lengths, masks))
        return logits.square().sum()

    parameters, _ = stack_module_state(networks)
    stacked = vmap(grad(loss), in_dims=(0, None if masks is None else 0))(parameters, masks)
    for index, network in enumerate(networks):
        network(inputs, lengths, drawn[index]).square().sum().backward()
        for key, value in network.named_parameters():
            torch.testing.assert_close(stacked[key][index], value.grad)


REFUSED: list[tuple[str, DataSpec, dict[str, Any], str]] = [
    ("rnn", NUMBERS, {"recurrent_dropout": 1.0}, "recurrent_dropout=1.0: expected a number from 0 up to"),
    ("rnn", TOKENS, {"embedding_dropout": -0.1}, "embedding_dropout=-0.1: expected a number from 0 up to"),
    (
        "rnn",
        NUMBERS,
        {"embedding_dropout": 0.1},
        "embedding_dropout=0.1: expected 0: the steps of 'numbers' are",
    ),
    ("gru", NUMBERS, {"layer_norm": 1}, "layer_norm=1: expected true or false"),
    ("gru", NUMBERS, {"explicit_loop": None}, "explicit_loop=None: expected true or false"),
    ("gru", NUMBERS, {"residual": "x", "num_layers": 2}, "residual=x: expected true or false"),
    ("gru", NUMBERS, {"residual": True}, "residual=True: expected false with num_layers=1"),
    (
        "gru",
        NUMBERS,
        {"pooling": "men"},
        "pooling=men: expected one of last, mean, max, attention; did you mean",
    ),
    (
        "gru",
        TAGS,
        {"pooling": "mean"},
        "pooling=mean: expected last, the default, since 'tags' has a target for",
    ),
    (
        "rnn",
        NUMBERS,
        {"recurrent_init": "eye"},
        "recurrent_init=eye: expected one of uniform, orthogonal, identity",
    ),
    (
        "lstm",
        NUMBERS,
        {"recurrent_init": "identity"},
        "recurrent_init=identity: expected one of uniform, orthogonal",
    ),
    (
        "gru",
        NUMBERS,
        {"recurrent_init": "identity"},
        "recurrent_init=identity: expected one of uniform, orthogonal",
    ),
    ("lstm", NUMBERS, {"forget_bias": "high"}, "forget_bias=high: expected a number"),
    ("lstm", NUMBERS, {"projection_size": 0}, "projection_size=0: expected an integer of at least 1"),
    ("lstm", NUMBERS, {"projection_size": 4}, "projection_size=4: expected less than hidden_size=4"),
    ("lstm", NUMBERS, {"projection_size": 4, "hidden_size": "a"}, "hidden_size=a: expected an integer"),
    ("gru", NUMBERS, {"reset_after": "no"}, "reset_after=no: expected true or false"),
    (
        "gru",
        NUMBERS,
        {"tied_embeddings": True},
        "tied_embeddings=True: expected false, since only a language model",
    ),
    (
        "gru",
        TOKENS,
        {"tied_embeddings": True},
        "tied_embeddings=True: expected false, since only a language model",
    ),
    (
        "gru",
        TAGS,
        {"tied_embeddings": True},
        "tied_embeddings=True: expected false, since only a language model",
    ),
    (
        "gru",
        LANGUAGE,
        {"tied_embeddings": True, "embedding_size": 3},
        "tied_embeddings=True: expected embedding_size=4, the size of what leaves the layers, not 3",
    ),
    (
        "gru",
        LANGUAGE,
        {"tied_embeddings": True, "embedding_std": 0.1},
        "embedding_std=0.1: expected 1 with tied_embeddings=True",
    ),
]


@pytest.mark.parametrize(("name", "spec", "options", "message"), REFUSED)
def test_what_does_not_suit_is_refused_by_name(
    name: str, spec: DataSpec, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        MODELS[name](spec, **{"hidden_size": 4} | options)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "model"), [*MODELS.items(), ("seq2seq", Seq2Seq)])
def test_the_configuration_lists_every_option_with_its_default(name: str, model: Any) -> None:
    file = paths.shipped("conf") / "model" / f"{name}.yaml"
    node = yaml.safe_load(file.read_text())
    assert node.pop("_target_") == f"seqsweep.models.{model.__name__}"
    assert node.pop("_partial_") is True
    parameters = list(inspect.signature(model).parameters.values())
    assert parameters[0].name == "spec"
    assert node == {parameter.name: parameter.default for parameter in parameters[1:]}
