from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from seqsweep import paths
from seqsweep.cli import loader
from seqsweep.cli.loader import FixedLoader

JOBS = [
    [],
    ["model=lstm", "model.hidden_size=7"],
    ["optimizer.lr=0.5", "model=lstm", "+extra.key=3"],
    ["model=gru", "~scheduler"],
    ["model=gru", "~model.dropout", "++model.more={a: 1}"],
    ["data=scan_simple", "model=seq2seq", "seed=3"],
    ["model=lstm", "model.hidden_size='${oc.env:HOME}'"],
    ["+optimizer@second=adam", "second.lr=0.25"],
    ["model={hidden_size: 5}"],
    ["hydra.job.name=other", "model=lstm"],
]


@pytest.fixture
def hydras() -> Iterator[ConfigLoader]:
    with initialize_config_dir(str(paths.shipped("conf")), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


@pytest.fixture
def fixed(hydras: ConfigLoader) -> FixedLoader:
    return FixedLoader(hydras.get_search_path())


@pytest.fixture
def master(hydras: ConfigLoader) -> DictConfig:
    overrides = ["hydra/sweeper=seqsweep", "hydra/launcher=seqsweep", "hydra.sweep.subdir=${hydra.job.num}"]
    return hydras.load_configuration("train", overrides, RunMode.MULTIRUN)


def text(config: DictConfig) -> str:
    return OmegaConf.to_yaml(config)  # nothing resolved: two looks at the clock differ


def test_it_composes_what_hydra_composes_in_whatever_order(
    hydras: ConfigLoader, fixed: FixedLoader, master: DictConfig
) -> None:
    folder = master.hydra.run.dir  # has the time in it, and is resolved once for all
    expected = [hydras.load_sweep_config(master, job) for job in JOBS]
    for i in [*range(len(JOBS)), *reversed(range(len(JOBS)))]:
        made = fixed.load_sweep_config(master, JOBS[i])
        assert text(made) == text(expected[i])
        assert OmegaConf.is_struct(made)
        assert OmegaConf.get_type(made.hydra, "job") == OmegaConf.get_type(expected[i].hydra, "job")
        assert made.hydra.run.dir == expected[i].hydra.run.dir == folder
        made.seed = 1000  # whoever has it may change it


WRONG = ["modl=gru", "model=grv", "model.hiden_size=3", "hydra.job.num=x", "+seed=1", "~no", "model=gru,lstm"]


@pytest.mark.parametrize("wrong", WRONG)
def test_it_refuses_what_hydra_refuses(
    hydras: ConfigLoader, fixed: FixedLoader, master: DictConfig, wrong: str
) -> None:
    with pytest.raises(HydraException) as hydras_own:
        hydras.load_sweep_config(master, [wrong])
    with pytest.raises(HydraException) as ours:
        fixed.load_sweep_config(master, [wrong])
    assert type(ours.value) is type(hydras_own.value)
    assert str(ours.value) == str(hydras_own.value)


def test_it_keeps_the_latest_choices_only(
    fixed: FixedLoader, master: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "KEPT", 2)
    for model in ("gru", "lstm", "rnn"):
        fixed.load_sweep_config(master, [f"model={model}"])
    assert [key[-1] for key in fixed._composed] == ["model=lstm", "model=rnn"]


PICKLED = """
import pickle, sys
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf
from seqsweep import paths
from seqsweep.cli.loader import FixedLoader

with initialize_config_dir(str(paths.shipped("conf")), version_base="1.3"):
    hydras = GlobalHydra.instance().config_loader()
    fixed = FixedLoader(hydras.get_search_path())
    master = hydras.load_configuration("train", [], RunMode.MULTIRUN)
    small = len(pickle.dumps(fixed))
    made = fixed.load_sweep_config(master, ["model=lstm"])
    data = pickle.dumps(fixed)
    assert len(data) == small
    again = pickle.loads(data).load_sweep_config(master, ["model=lstm"])
    assert OmegaConf.to_yaml(again) == OmegaConf.to_yaml(made)
    sys.stdout.buffer.write(data)
"""


def test_it_crosses_processes_without_what_it_keeps() -> None:
    # Both in processes of their own: a test before this one may have had Hydra read its plugins anew.
    written = subprocess.run([sys.executable, "-c", PICKLED], capture_output=True, check=True).stdout
    # a launcher's worker reads it before Hydra has been set up there
    code = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"
    subprocess.run([sys.executable, "-c", code], input=written, check=True)
