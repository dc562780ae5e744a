"""Training: from a resolved configuration to an Outcome.

`build` makes data, model and task from the configuration and refuses what is
wrong with it; `train` fits, records, checkpoints and tests. `jobs` has the
entries that executors run. Importing this runs no tensor operation, so a server
that preloads it may be forked.
"""

import seqsweep.training.lightly  # noqa: F401  # first: what follows imports lightning
from seqsweep.training.building import Built, build
from seqsweep.training.goal import Goal
from seqsweep.training.running import test, train

__all__ = ["Built", "Goal", "build", "test", "train"]
