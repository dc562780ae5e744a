"""Imported once by the warm server, for jobs of other Hydra applications: Hydra, its plugins found."""

from __future__ import annotations

import cloudpickle  # noqa: F401
import hydra.core.utils  # noqa: F401
from hydra.core.plugins import Plugins

import seqsweep.cli.hydra_job  # noqa: F401

Plugins.instance()
