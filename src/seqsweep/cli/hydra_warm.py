"""Imported once by the warm server, for jobs of other Hydra applications.

What each job would otherwise do for the first time in its process: find Hydra's
plugins, and build the tables of OmegaConf's grammar.
"""

from __future__ import annotations

import cloudpickle  # noqa: F401
import hydra._internal.logging_config
import hydra.core.utils  # noqa: F401
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf

import seqsweep.cli.hydra_job  # noqa: F401

Plugins.instance()
OmegaConf.to_yaml(OmegaConf.create({"a": "${b.c}/${oc.env:HOME,.}", "b": {"c": 1}}), resolve=True)
