"""``python -m seqsweep`` is the same as ``seqsweep``."""

import sys

from seqsweep.cli import main

if __name__ == "__main__":
    sys.exit(main())
