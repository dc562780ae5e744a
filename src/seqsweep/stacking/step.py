"""One training step of many trials: their losses as one function, by `torch.func.vmap` over the trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.func import vmap
from torch.nn import functional as F
from torch.utils._pytree import tree_flatten, tree_unflatten

from seqsweep.data import Batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from seqsweep.tasks import Task

    Tensors = dict[str, Tensor]


class Draw(NamedTuple):
    """What a trial's step begins with."""

    batch: Batch
    state: Any
    """As `Task.loss` takes it; all trials have one, or none has."""
    masks: Any
    """From `Task.draw_masks`."""


def losses(task: Task, parameters: Tensors, draws: Sequence[Draw]) -> tuple[Tensor, list[Any]]:
    """Each trial's own loss of its own batch.

    Args:
        task: one like all of theirs, whose model runs as a loop over steps and draws every kind of
            mask that one of theirs does; its own parameters are not used.
        parameters: by name, each K x its shape.
        draws: one a trial.

    Returns:
        (K,) losses, and the state after each batch.

    """
    groups: dict[Any, list[int]] = {}
    for place, draw in enumerate(draws):
        groups.setdefault(_likeness(draw.batch), []).append(place)
    if (
        len(groups) == 1
    ):  # most often; but an epoch's last batch is smaller, and not all may be at the same place
        return _losses(task, parameters, draws)
    found: list[Tensor] = []
    after: dict[int, Any] = {}
    for rows in groups.values():
        some = {name: value[rows] for name, value in parameters.items()}
        own, states = _losses(task, some, [draws[row] for row in rows])
        found.append(own)
        after |= zip(rows, states, strict=True)
    places = torch.tensor(list(after)).argsort()
    return torch.cat(found)[places], [after[row] for row in range(len(draws))]


def _losses(task: Task, parameters: Tensors, draws: Sequence[Draw]) -> tuple[Tensor, list[Any]]:
    """The same for batches of a likeness."""
    buffers = dict(task.model.named_buffers())
    columns = _columns([draw.batch for draw in draws], next(iter(parameters.values())))
    state, masks = _stacked([draw.state for draw in draws]), _masks(task, draws)

    def loss(own: Tensors, columns: tuple[Any, ...], begun: Any, drawn: Any) -> tuple[Any, ...]:
        value, after, _ = task.loss(own, buffers, Batch(*columns), begun, drawn)
        return (value,) if begun is None else (value, after)

    given = tuple(None if part is None else 0 for part in columns)
    dims = (0, given, None if state is None else 0, None if masks is None else 0)
    found, *after = vmap(loss, in_dims=dims)(parameters, columns, state, masks)
    return found, _unstacked(after[0] if after else None, len(draws))


def _likeness(batch: Batch) -> tuple[Any, ...]:
    """What batches that are padded to one length have in common: all but the steps of those with lengths."""
    shapes = []
    for column, lengths in ((batch.inputs, batch.lengths), (batch.targets, batch.target_lengths)):
        shape = list(column.shape)
        if lengths is not None:
            shape[1] = -1
        shapes.append(tuple(shape))
    return tuple(shapes)


def _columns(batches: Sequence[Batch], like: Tensor) -> tuple[Any, ...]:
    """What `Batch` is made of, each K x what it was, numbers in the parameters' type."""
    columns = zip(
        *((one.inputs, one.targets, one.lengths, one.target_lengths) for one in batches), strict=True
    )
    return tuple(None if parts[0] is None else _typed(padded(parts), like) for parts in columns)


def _typed(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.device, like.dtype if values.is_floating_point() else values.dtype)


def padded(parts: Sequence[Tensor]) -> Tensor:
    """The tensors as one, K x the largest of their shapes, zeros beyond each one's own."""
    if len({part.shape for part in parts}) == 1:
        return torch.stack(list(parts))
    most = [max(sizes) for sizes in zip(*(part.shape for part in parts), strict=True)]
    widened = []
    for part in parts:
        room = [[0, size - own] for size, own in zip(most, part.shape, strict=True)]
        widened.append(F.pad(part, [number for pair in reversed(room) for number in pair]))
    return torch.stack(widened)


def _masks(task: Task, draws: Sequence[Draw]) -> Any:
    """All trials' masks, K x each; ones for a trial that does not drop what another drops."""
    masks = [draw.masks for draw in draws]
    if all(mask is None for mask in masks):
        return None
    if len({() if mask is None else tuple(map(len, mask)) for mask in masks}) > 1:
        masks = [_completed(task, draw) for draw in draws]
    kinds = zip(*masks, strict=True)
    return type(masks[0])(*(tuple(map(padded, zip(*kind, strict=True))) for kind in kinds))


def _completed(task: Task, draw: Draw) -> Any:
    """The masks, and ones for what is not among them; `task`'s model draws all that any trial does."""
    drawn = task.model.draw_masks(draw.batch, torch.Generator(draw.batch.inputs.device))
    ones = type(drawn)(*(tuple(map(torch.ones_like, kind)) for kind in drawn))
    if draw.masks is None:
        return ones
    return type(drawn)(*(own or one for own, one in zip(draw.masks, ones, strict=True)))


def _stacked(states: Sequence[Any]) -> Any:
    """Trees of tensors as one, each leaf K x what it was; None for none."""
    if states[0] is None:
        return None
    leaves, shape = zip(*map(tree_flatten, states), strict=True)
    return tree_unflatten([torch.stack(parts) for parts in zip(*leaves, strict=True)], shape[0])


def _unstacked(state: Any, count: int) -> list[Any]:
    """The inverse."""
    if state is None:
        return [None] * count
    leaves, shape = tree_flatten(state)
    return [tree_unflatten([leaf[row] for leaf in leaves], shape) for row in range(count)]
