"""What executors run for trials that are trained as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from seqsweep.protocol import Outcome
from seqsweep.stacking.member import Member
from seqsweep.stacking.stack import TrialStack
from seqsweep.tracking import Spool
from seqsweep.training import building, folder, record, running
from seqsweep.training.allocation import keep_freed_memory
from seqsweep.training.arguments import make_trainer
from seqsweep.training.building import Built
from seqsweep.training.goal import Goal, check_metrics
from seqsweep.training.jobs import guarded
from seqsweep.training.outcomes import outcome_of
from seqsweep.training.quiet import quiet
from seqsweep.training.rounding import rounded
from seqsweep.training.system import watching

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from seqsweep.protocol import JobContext
    from seqsweep.tasks import Task

DROPOUTS = ("dropout", "recurrent_dropout", "embedding_dropout")


def run(
    payloads: Sequence[Mapping[str, Any]], contexts: Sequence[JobContext]
) -> Iterator[tuple[int, Outcome]]:
    """Train trials of one key (`seqsweep.stacking.plan`) as one, each recording into its own folder's spool.

    Args:
        payloads: one a trial, as `seqsweep.training.jobs.run` takes it.
        contexts: the jobs' side of the executor, in the same order.

    Yields:
        A trial's place in the lists, and its outcome, as each ends.

    """
    threads = payloads[0]["config"].get("threads") or contexts[0].slot.threads
    torch.set_num_threads(max(1, threads))
    keep_freed_memory()
    precision = payloads[0]["config"]["trainer"].get("matmul_precision")
    with quiet(), rounded(precision):
        places: dict[Member, int] = {}
        for place, (payload, context) in enumerate(zip(payloads, contexts, strict=True)):
            made = _member(payload, context, len(payloads))
            if isinstance(made, Member):
                places[made] = place
            else:
                yield place, made
        if places:
            for member, outcome in _trained(list(places)):
                yield places[member], _finished(member, outcome)


def _trained(members: Sequence[Member]) -> Iterator[tuple[Member, Outcome]]:
    """Each member with its outcome; what goes wrong with the stack as a whole ends all that are left."""
    left = list(members)
    try:
        # of those that could be built: another's configuration may be the one that is wrong
        common = template([member.built.config for member in members], members[0].device)
        for member, outcome in TrialStack(members, common).train():
            left.remove(member)
            yield member, outcome
    except Exception as error:
        for member in left:
            yield member, member.failed(error)


def _finished(member: Member, outcome: Outcome) -> Outcome:
    """Record how a member ended; what goes wrong with that is its own affair."""
    try:
        return member.finish(outcome)
    except Exception as error:
        return outcome_of(error)


def _member(payload: Mapping[str, Any], context: JobContext, size: int) -> Member | Outcome:
    """The trial, its record begun; or its outcome, if there is no training it."""
    made = guarded(lambda: _built(payload, context), context)
    if not isinstance(made, tuple):
        return made
    built, goal = made
    tracker = Spool(context.directory)
    try:
        begun = guarded(lambda: _begun(built, goal, context, tracker, size), context)
    except BaseException:
        tracker.close()
        raise
    if not isinstance(begun, Member):
        tracker.close()
    return begun


def _built(payload: Mapping[str, Any], context: JobContext) -> tuple[Built, Goal] | Outcome:
    """The trial's parts and what is best; or the outcome that an earlier attempt has put down."""
    built = building.build(payload["config"])
    goal = Goal(**payload["goal"]) if payload.get("goal") else Goal.of(built.task)
    check_metrics(goal.metrics, built.task.metrics)
    return folder.read_outcome(context.directory, built.config) or (built, goal)


def _begun(built: Built, goal: Goal, context: JobContext, tracker: Spool, size: int) -> Member | Outcome:
    """The trial where it was left, if it had begun; or its outcome, if no more than that was missing."""
    record.describe(built, context.directory, tracker)
    trainer = make_trainer(built.trainer)
    device = trainer.strategy.root_device
    tracker.set_tags({"seqsweep.device": running.device_name(trainer), "seqsweep.stack": str(size)})
    member = Member(built, context, tracker, goal, device)
    if (outcome := member.due()) is not None:
        return member.finish(outcome)
    member.around.enter_context(watching(built.system_metrics, tracker, context.directory, device))
    return member


def template(configs: Sequence[Mapping[str, Any]], device: torch.device) -> Task:
    """A task like all of theirs, on a model that runs as a loop and drops whatever one of them drops."""
    models = [config["model"] for config in configs]
    dropped = {name: max(float(model.get(name) or 0) for model in models) for name in DROPOUTS}
    model = dict(models[0]) | dropped | {"explicit_loop": True}
    return building.build(dict(configs[0]) | {"model": model}).task.to(device)
