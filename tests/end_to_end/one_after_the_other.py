"""The command line with a stack that trains its members one after the other: all of a stack but its speed.

``python -m end_to_end.one_after_the_other sweep ...`` with this folder's parent on PYTHONPATH.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from contracts.stack_contract import Ends
from seqsweep.cli import main
from seqsweep.protocol import JobContext
from seqsweep.stacking import plan


def verdict(config: Mapping[str, Any], *, cpu: bool) -> plan.Verdict:
    model = config["model"]["_target_"].rpartition(".")[2]
    if model == "LSTM":
        return plan.Verdict(reason="model=lstm is as fast by itself")
    return plan.Verdict(
        key=json.dumps({"model": {"_target_": model, "size": config["model"]["hidden_size"]}})
    )


def run(payloads: list[dict[str, Any]], contexts: list[JobContext]) -> Ends:
    from seqsweep.training import jobs

    print("members", *(context.trial for context in contexts), flush=True)
    for place, (payload, context) in enumerate(zip(payloads, contexts, strict=True)):
        yield place, jobs.run(payload, context)


if __name__ == "__main__":
    plan.verdict = verdict
    plan.ENTRY = "end_to_end.one_after_the_other:run"
    raise SystemExit(main(sys.argv[1:]))
