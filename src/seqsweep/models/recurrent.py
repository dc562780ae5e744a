"""RNN, LSTM and GRU over a sequence, with one output a sequence or one a step."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from torch import Tensor, nn

from seqsweep import checks
from seqsweep.errors import ConfigError
from seqsweep.models import initialization
from seqsweep.models.base import Model, SequenceBatch, boolean
from seqsweep.models.cells import GRUCell
from seqsweep.models.dropout import apply_mask, draw_mask, draw_masks
from seqsweep.models.embedding import SpelledWords, input_layer
from seqsweep.models.explicit import ExplicitGRU, ExplicitLSTM, ExplicitRNN
from seqsweep.models.initialization import INITIALIZATIONS
from seqsweep.models.layers import output_size, run_layers, zero_state
from seqsweep.models.pooling import POOLINGS
from seqsweep.spec import DataSpec

if TYPE_CHECKING:
    import torch

    from seqsweep.models.cells import Cell
    from seqsweep.models.explicit import Explicit


class RecurrentMasks(NamedTuple):
    """All random draws of one training step; empty where there is nothing to draw."""

    dropout: tuple[Tensor, ...] = ()
    """One a layer: batch x time x features, the last one as `forward` hands it to the head."""
    recurrent: tuple[Tensor, ...] = ()
    """One a layer and direction: batch x hidden."""
    embedding: tuple[Tensor, ...] = ()
    """One: batch x time, the same number wherever a token stands again in its sequence."""


@dataclass(eq=False, repr=False)
class RecurrentModel(Model):
    """Input layer, recurrent layers, and a linear head on what they have read.

    With ``spec.per_step`` the head is on every step instead. The recurrent layers
    are a module named ``recurrent`` with the parameter names of ``torch.nn``, so
    the part of the state dict under that prefix loads into `nn.RNN`, `nn.LSTM` or
    `nn.GRU`; only `layer_norm` has further ones.

    The layers run on PyTorch's kernels wherever the options allow, and else as a
    loop over cells (`seqsweep.models.cells`) that gives the same results: always
    with `layer_norm`, `explicit_loop` or a GRU's ``reset_after=False``; in training
    with `recurrent_dropout`; on padded sequences when a state is carried; and with an
    LSTM's `projection_size` on a CPU.

    Raises:
        ConfigError: an argument is out of its range, or does not suit the data.

    """

    plain: ClassVar[type[nn.RNN | nn.LSTM | nn.GRU]]
    """The recurrent layers on PyTorch's kernels."""
    explicit: ClassVar[type[Explicit]]
    """The same as a loop over cells."""
    initializations: ClassVar[tuple[str, ...]] = ("uniform", "orthogonal")
    """Values of `recurrent_init`."""

    spec: DataSpec
    """What the data is like."""
    _: KW_ONLY
    hidden_size: int = 128
    """Units of one direction of one layer."""
    num_layers: int = 1
    """Recurrent layers, one on the other."""
    dropout: float = 0.0
    """Probability with which each number that leaves a layer is dropped in training: between
    layers, and before the head, so it acts with one layer too."""
    bidirectional: bool = False
    """Read the sequence from its end as well."""
    embedding_size: int | None = None
    """Size of a token's vector; None means `hidden_size`. Only for tokens."""
    spelling_size: int | None = None
    """Size of the vector that a word's characters give it, beside its own; None means 64. Only for
    words with their spelling."""
    embedding_std: float = 1.0
    """Standard deviation of what tokens' vectors are drawn with; 1 is that of ``torch.nn``, far above what
    a spelling's vector, an LSTM's output, has at the start. Only for tokens."""
    recurrent_dropout: float = 0.0
    """Probability with which each number of the hidden state is dropped where the next step reads it,
    the same ones at every step of the sequence (Gal & Ghahramani 2016)."""
    embedding_dropout: float = 0.0
    """Probability with which a token's vector is dropped, wherever the token stands in the sequence
    (Gal & Ghahramani 2016); the vector of its spelling stays. Only for tokens."""
    tied_embeddings: bool = False
    """Let the head's weights be the embedding's (Press & Wolf 2017; Inan et al. 2017). Only for
    language models, with `embedding_size` the size of what leaves the layers."""
    residual: bool = False
    """Add to what leaves a layer what entered it, from the second layer on."""
    layer_norm: bool = False
    """Normalise within the cells (Ba et al. 2016)."""
    pooling: str = "last"
    """What of all steps the head reads: their ``last``, ``mean`` or ``max``, or an ``attention``-weighted
    mean. Only for one output a sequence."""
    recurrent_init: str = "uniform"
    """How recurrent weights are drawn: ``uniform`` as in ``torch.nn``, or ``orthogonal`` for each gate
    (Saxe et al. 2014)."""
    explicit_loop: bool = False
    """Run the loop over cells even where a kernel would do: slower alone, and open to `torch.func`."""

    def __post_init__(self) -> None:
        """Check the options and build the parts, the order of which fixes their initial weights."""
        super().__init__(self.spec)
        self._check()
        self.inputs, size = input_layer(
            self.spec,
            self.embedding_size,
            default=self.hidden_size,
            spelling_size=self.spelling_size,
            std=self.embedding_std,
        )
        self.recurrent = self._layers(size)
        self.initialize()
        directions = 1 + self.bidirectional
        self.pool = POOLINGS[self.pooling](output_size(self.recurrent), directions)
        self.head = nn.Linear(output_size(self.recurrent) * directions, self.spec.output_size)
        if self.tied_embeddings:
            self._tie(size)

    def layer_options(self) -> dict[str, Any]:
        """Further arguments of the ``torch.nn`` class; overridden by models that have some."""
        return {}

    def own_cell(self) -> Cell | None:
        """The rule of a step if ``torch.nn`` has another; overridden by models that have one."""
        return None

    def initialize(self) -> None:
        """Give the recurrent layers the initial values that the options ask for."""
        INITIALIZATIONS[self.recurrent_init](self.recurrent)

    def forward(
        self,
        inputs: Tensor,
        lengths: Tensor | None = None,
        masks: RecurrentMasks | None = None,
        state: Any = None,
    ) -> Any:
        """Logits, or values, for each sequence; with a state, the state after it as well.

        Args:
            inputs: batch x time x input_size, or batch x time of tokens.
            lengths: batch, each at least 1; None if no sequence is padded.
            masks: from `draw_masks`; None for no dropout.
            state: from `start`, or what this gave for the steps before; None if the sequences
                begin here and nothing is carried on. It is not detached.

        Returns:
            batch x output_size, or batch x time x output_size with ``spec.per_step``; if a state
            was given, a pair of that and the state after each sequence's last true step.

        Raises:
            ConfigError: a state was given and the model is bidirectional.

        """
        masks = masks or RecurrentMasks()
        carried = state is not None
        if carried:
            self._check_carries()
        outputs, state = run_layers(
            self.recurrent,
            self._embedded(inputs, masks.embedding),
            lengths,
            masks.dropout[:-1],
            state,
            recurrent_masks=masks.recurrent,
            residual=self.residual,
            explicit=carried and lengths is not None,  # a kernel's state would have read the padding
        )
        if not self.spec.per_step:
            outputs = self._pooled(outputs, lengths, state)  # batch x features
        for mask in masks.dropout[-1:]:
            outputs = apply_mask(outputs, mask)
        logits = self.head(outputs)
        return (logits, state) if carried else logits

    def _pooled(self, outputs: Tensor, lengths: Tensor | None, state: Any) -> Tensor:
        """One vector a sequence: the last state where it is that, since then no other step has a gradient."""
        if self.pooling != "last" or lengths is not None or self.bidirectional or self.residual:
            return self.pool(outputs, lengths)  # type: ignore[no-any-return]
        return (state[0] if self.recurrent.mode == "LSTM" else state)[-1]  # type: ignore[no-any-return]

    def start(self, size: int) -> Any:
        """The state before the first step of `size` sequences, as `forward` takes it: zeros.

        Returns:
            layers x size x hidden, for an LSTM a pair with the cell's.

        Raises:
            ConfigError: the model is bidirectional.

        """
        self._check_carries()
        return zero_state(self.recurrent, self.head.weight.new_zeros(size))

    def draw_masks(self, batch: SequenceBatch, generator: torch.Generator) -> RecurrentMasks | None:
        """All random draws of one training step; None if no option asks for one."""
        if not (self.dropout or self.recurrent_dropout or self.embedding_dropout):
            return None
        size, time = batch.inputs.shape[:2]
        layers, features = self.num_layers, self.head.in_features
        masks = RecurrentMasks()
        if self.dropout:
            steps = (size, time, features)
            shapes = [*[steps] * (layers - 1), steps if self.spec.per_step else (size, features)]
            masks = masks._replace(dropout=draw_masks(shapes, self.dropout, generator))
        if self.recurrent_dropout:
            shapes = [(size, output_size(self.recurrent))] * (layers * (1 + self.bidirectional))
            masks = masks._replace(recurrent=draw_masks(shapes, self.recurrent_dropout, generator))
        if self.embedding_dropout:
            assert self.spec.vocabulary_size is not None
            words = draw_mask((size, self.spec.vocabulary_size), self.embedding_dropout, generator)
            spelled = self.spec.character_vocabulary_size is not None
            tokens = batch.inputs[..., 0] if spelled else batch.inputs  # batch x time
            masks = masks._replace(embedding=(words.gather(1, tokens),))
        return masks if any(masks) else None

    def _check(self) -> None:
        checks.positive_int("hidden_size", self.hidden_size)
        checks.positive_int("num_layers", self.num_layers)
        for name in ("dropout", "recurrent_dropout", "embedding_dropout"):
            setattr(self, name, checks.probability(name, getattr(self, name)))
        checks.positive_float("embedding_std", self.embedding_std)
        for name in ("bidirectional", "tied_embeddings", "residual", "layer_norm", "explicit_loop"):
            boolean(name, getattr(self, name))
        checks.one_of("pooling", self.pooling, POOLINGS)
        checks.one_of("recurrent_init", self.recurrent_init, self.initializations)
        self._check_suits()

    def _check_suits(self) -> None:
        """Refuse what would have no effect."""
        spec = self.spec
        if self.residual and self.num_layers == 1:
            raise ConfigError("residual=True: expected false with num_layers=1: it is between layers")
        if self.pooling != "last" and spec.per_step:
            raise ConfigError(
                f"pooling={self.pooling}: expected last, the default, "
                f"since '{spec.name}' has a target for each step and nothing is pooled"
            )
        for name, default in (("embedding_dropout", 0), ("embedding_std", 1)):
            value = getattr(self, name)
            if value != default and spec.vocabulary_size is None:
                raise ConfigError(
                    f"{name}={value}: expected {default}: the steps of '{spec.name}' are numbers"
                )
        if self.embedding_std != 1 and self.tied_embeddings:
            raise ConfigError(
                f"embedding_std={self.embedding_std}: expected 1 with tied_embeddings=True, since the "
                "vectors are the head's weights and begin as those do"
            )
        if self.tied_embeddings and not (spec.per_step and spec.vocabulary_size == spec.output_size):
            raise ConfigError(
                "tied_embeddings=True: expected false, since only a language model gives out at each step "
                f"a token of the kind that it reads, and '{spec.name}' is not for one"
            )

    def _check_carries(self) -> None:
        if self.bidirectional:
            raise ConfigError(
                "bidirectional=True: expected false where the state is carried from batch to batch, "
                "since the backward direction would begin in what is yet to come"
            )

    def _layers(self, size: int) -> nn.RNNBase:
        """The recurrent layers over inputs of `size`, with kernels if they will do."""
        sizes = (size, self.hidden_size, self.num_layers)
        options = {"bidirectional": self.bidirectional, **self.layer_options()}
        cell = self.own_cell()
        if self.explicit_loop or self.layer_norm or cell is not None:
            return self.explicit(*sizes, cell=cell, layer_norm=self.layer_norm, **options)
        return self.plain(*sizes, batch_first=True, **options)

    def _embedded(self, inputs: Tensor, masks: tuple[Tensor, ...]) -> Tensor:
        """Batch x time x size."""
        mask = masks[0].unsqueeze(-1) if masks else None
        if isinstance(self.inputs, SpelledWords):
            return self.inputs(inputs, mask)  # type: ignore[no-any-return]
        return apply_mask(self.inputs(inputs), mask)

    def _tie(self, size: int) -> None:
        """Read tokens with the head's weights, whose initial range suits both ends."""
        if self.head.in_features != size:
            raise ConfigError(
                f"tied_embeddings=True: expected embedding_size={self.head.in_features}, "
                f"the size of what leaves the layers, not {size}"
            )
        assert isinstance(self.inputs, nn.Embedding)
        self.inputs.weight = self.head.weight


@dataclass(eq=False, repr=False)
class RNN(RecurrentModel):
    """Elman network (Elman 1990): h_t = f(W x_t + U h_(t-1) + b), f being tanh or relu.

    ``recurrent_init=identity`` makes it an IRNN (Le et al. 2015), which has relu.
    """

    plain = nn.RNN
    explicit = ExplicitRNN
    initializations = ("uniform", "orthogonal", "identity")

    nonlinearity: str = "tanh"
    """``tanh`` or ``relu``."""

    def __post_init__(self) -> None:
        """Check the options and build the parts."""
        checks.one_of("nonlinearity", self.nonlinearity, ("tanh", "relu"))
        super().__post_init__()

    def layer_options(self) -> dict[str, Any]:
        """The nonlinearity."""
        return {"nonlinearity": self.nonlinearity}


@dataclass(eq=False, repr=False)
class LSTM(RecurrentModel):
    """Long short-term memory (Hochreiter & Schmidhuber 1997; with forget gate, Gers et al. 2000)."""

    plain = nn.LSTM
    explicit = ExplicitLSTM

    forget_bias: float | None = None
    """The forget gates' bias at the start (Jozefowicz et al. 2015: 1); None for what ``torch.nn`` draws."""
    projection_size: int | None = None
    """Size below `hidden_size` that the hidden state is projected to (Sak et al. 2014); None for no
    projection."""

    def __post_init__(self) -> None:
        """Check the options and build the parts."""
        if self.forget_bias is not None:
            checks.finite_float("forget_bias", self.forget_bias)
        checks.positive_int("hidden_size", self.hidden_size)
        size = self.projection_size
        if size is not None and checks.positive_int("projection_size", size) >= self.hidden_size:
            raise ConfigError(f"projection_size={size}: expected less than hidden_size={self.hidden_size}")
        super().__post_init__()

    def layer_options(self) -> dict[str, Any]:
        """The projection."""
        return {"proj_size": self.projection_size or 0}

    def initialize(self) -> None:
        """Give the recurrent layers the initial values that the options ask for."""
        super().initialize()
        if self.forget_bias is not None:
            initialization.forget_bias(self.recurrent, self.forget_bias)


@dataclass(eq=False, repr=False)
class GRU(RecurrentModel):
    """Gated recurrent unit (Cho et al. 2014)."""

    plain = nn.GRU
    explicit = ExplicitGRU

    reset_after: bool = True
    """Apply the reset gate after the product with the recurrent weights, as cuDNN does, or before it,
    as published."""

    def __post_init__(self) -> None:
        """Check the options and build the parts."""
        boolean("reset_after", self.reset_after)
        super().__post_init__()

    def own_cell(self) -> Cell | None:
        """The published rule, which has no kernel."""
        return None if self.reset_after else GRUCell(reset_after=False)
