"""``python -m seqsweep`` is the same as ``seqsweep``."""

from seqsweep.cli import command

if __name__ == "__main__":
    command()
