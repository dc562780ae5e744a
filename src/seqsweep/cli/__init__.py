"""The command line: the composition root, the only place that knows all other folders."""

from seqsweep.cli.main import command, main

__all__ = ["command", "main"]
