"""torchmetrics without scipy.signal, which is there all the same for whoever asks for it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "code",
    [
        "import seqsweep.training; assert 'scipy.signal' not in sys.modules, 'imported'",
        "import seqsweep.training, scipy.signal; assert scipy.signal.lfilter; assert scipy.signal.__file__",
        "from seqsweep.training.lightly import _Instead; sys.modules['scipy.signal'] = _Instead('scipy.signal'); "
        "from scipy.signal import lfilter; assert sys.modules['scipy.signal'].lfilter is lfilter",
        "import scipy.signal as first, seqsweep.training, scipy.signal; assert scipy.signal is first",
    ],
    ids=["not imported", "imported later", "asked for meanwhile", "imported before"],
)
def test_scipy_signal(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
