"""RNN, LSTM and GRU over a sequence, with one output a sequence or one a step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from seqsweep import checks
from seqsweep.models.base import Model, SequenceBatch, boolean
from seqsweep.models.dropout import apply_mask, draw_mask
from seqsweep.models.embedding import input_layer
from seqsweep.models.layers import last_step, run_layers

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from seqsweep.spec import DataSpec


class RecurrentModel(Model):
    """Input layer, recurrent layers, and a linear head on the last true step.

    With ``spec.per_step`` the head is on every step instead. The recurrent layers
    are a plain ``torch.nn`` module named ``recurrent``, so the part of the state
    dict under that prefix loads into `nn.RNN`, `nn.LSTM` or `nn.GRU`.

    Args:
        spec: what the data is like.
        hidden_size: units of one direction of one layer.
        num_layers: recurrent layers, one on the other.
        dropout: probability with which each number that leaves a layer is dropped in
            training: between layers, and before the head, so it acts with one layer too.
        bidirectional: read the sequence from its end as well.
        embedding_size: size of a token's vector; None means `hidden_size`. Only for tokens.

    Raises:
        ConfigError: an argument is out of its range, or does not suit the data.

    """

    kernel: type[nn.RNNBase]

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_size: int = 128,
        num_layers: int = 1,
        dropout: float = 0.0,
        bidirectional: bool = False,
        embedding_size: int | None = None,
    ) -> None:
        super().__init__(spec)
        checks.positive_int("hidden_size", hidden_size)
        checks.positive_int("num_layers", num_layers)
        self.dropout = checks.probability("dropout", dropout)
        boolean("bidirectional", bidirectional)
        self.inputs, size = input_layer(spec, embedding_size, default=hidden_size)
        self.recurrent = self.kernel(
            input_size=size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            batch_first=True,
            **self.kernel_options(),
        )
        self.head = nn.Linear(hidden_size * (1 + bidirectional), spec.output_size)

    def kernel_options(self) -> dict[str, Any]:
        """Further arguments of the ``torch.nn`` class; overridden by models that have some."""
        return {}

    def forward(
        self, inputs: Tensor, lengths: Tensor | None = None, masks: tuple[Tensor, ...] | None = None
    ) -> Tensor:
        """Logits, or values, for each sequence.

        Args:
            inputs: batch x time x input_size, or batch x time of tokens.
            lengths: batch, each at least 1; None if no sequence is padded.
            masks: from `draw_masks`; None for no dropout.

        Returns:
            batch x output_size, or batch x time x output_size with ``spec.per_step``.

        """
        between, final = (masks[:-1], masks[-1]) if masks else (None, None)
        outputs, _ = run_layers(self.recurrent, self.inputs(inputs), lengths, between)
        if not self.spec.per_step:
            outputs = last_step(outputs, lengths, self.recurrent.hidden_size)  # batch x features
        logits: Tensor = self.head(apply_mask(outputs, final))
        return logits

    def draw_masks(self, batch: SequenceBatch, generator: torch.Generator) -> tuple[Tensor, ...] | None:
        """One mask a layer: batch x time x features, the last one as `forward` hands it to the head."""
        if not self.dropout:
            return None
        size, time = batch.inputs.shape[:2]
        features = self.head.in_features
        steps = (size, time, features)
        final = steps if self.spec.per_step else (size, features)
        shapes = [*[steps] * (self.recurrent.num_layers - 1), final]
        return tuple(draw_mask(shape, self.dropout, generator) for shape in shapes)


class RNN(RecurrentModel):
    """Elman network (Elman 1990): h_t = f(W x_t + U h_(t-1) + b), f being tanh or relu.

    Args:
        spec: what the data is like.
        nonlinearity: ``tanh`` or ``relu``.
        options: see `RecurrentModel`.

    """

    kernel = nn.RNN

    def __init__(
        self,
        spec: DataSpec,
        *,
        hidden_size: int = 128,
        num_layers: int = 1,
        dropout: float = 0.0,
        bidirectional: bool = False,
        embedding_size: int | None = None,
        nonlinearity: str = "tanh",
    ) -> None:
        self._nonlinearity = checks.one_of("nonlinearity", nonlinearity, ("tanh", "relu"))
        super().__init__(
            spec,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
            bidirectional=bidirectional,
            embedding_size=embedding_size,
        )

    def kernel_options(self) -> dict[str, Any]:
        """The nonlinearity."""
        return {"nonlinearity": self._nonlinearity}


class LSTM(RecurrentModel):
    """Long short-term memory (Hochreiter & Schmidhuber 1997; with forget gate, Gers et al. 2000)."""

    kernel = nn.LSTM


class GRU(RecurrentModel):
    """Gated recurrent unit (Cho et al. 2014), in the form that applies the reset gate after the product."""

    kernel = nn.GRU
