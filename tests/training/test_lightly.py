"""Lightning without what it imports and nobody uses, which is there all the same for whoever asks for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

LEFT_OUT = ("torch._dynamo.eval_frame", "matplotlib", "scipy.signal.windows")

TRAINED = """
import torch
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.Adam(model.parameters(), fused=True)
model(torch.ones(3, 2)).sum().backward()
optimizer.step()
optimizer.zero_grad()
from lightning.pytorch import Trainer
Trainer(logger=False, barebones=True, accelerator="cpu", devices=1)
"""


@pytest.mark.parametrize(
    "code",
    [
        TRAINED + f"print(*[name for name in {LEFT_OUT} if name in sys.modules]); "
        f"assert not {set(LEFT_OUT)} & sys.modules.keys()",
        "import scipy.signal; assert scipy.signal.lfilter; assert scipy.signal.__file__",
        "from scipy.signal import lfilter; assert sys.modules['scipy.signal'].lfilter is lfilter",
        "import torch._dynamo.config; assert torch._dynamo.config.cache_size_limit is not None",
        "from torchmetrics.classification import MulticlassAccuracy as A; a = A(3); import torch; "
        "a.update(torch.tensor([0, 1]), torch.tensor([0, 2])); figure, axes = a.plot(); assert axes.get_title",
        "from torchmetrics.utilities.plot import _AX_TYPE, plot_curve, trim_axs",
        TRAINED
        + "seen = []; compiled = torch.compile(model, backend=lambda g, i: seen.append(g) or g.forward); "
        "compiled(torch.ones(3, 2)); assert seen; from lightning.fabric.wrappers import _unwrap_compiled; "
        "assert _unwrap_compiled(compiled)[0] is model and _unwrap_compiled(model)[0] is model",
        "import torch; f = torch.compiler.disable(lambda x: x.sin()); assert f.__name__ == '<lambda>'; "
        "graphs = []; c = torch.compile(lambda x: f(x.cos()), backend=lambda g, i: graphs.append(g) or g.forward); "
        "c(torch.ones(2)); assert not any('sin' in str(g.code) for g in graphs) and 'cos' in graphs[0].code",
    ],
    ids=[
        "training",
        "scipy.signal",
        "of scipy.signal",
        "tracer's settings",
        "a metric's plot",
        "all of plot",
        "compiled model",
        "kept off",
    ],
)
def test_left_out_and_there(code: str) -> None:
    _run(f"import sys, seqsweep.training; assert not {set(LEFT_OUT)} & sys.modules.keys()\n{code}")


@pytest.mark.parametrize("name", ["scipy.signal", "torch._dynamo", "lightning.pytorch", "torchmetrics"])
def test_what_is_there_already_stays(name: str) -> None:
    _run(f"import sys, {name}; first = sys.modules['{name}']; import seqsweep.training\n"
         f"assert sys.modules['{name}'] is first; from lightning.pytorch import Trainer")  # fmt: skip


def _run(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
