from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from seqsweep import paths
from seqsweep.cli.loader import FixedLoader

OURS = ["hydra/sweeper=seqsweep", "hydra/launcher=seqsweep"]
CHOICES = [
    [],
    ["model=lstm", "model.hidden_size=7"],
    ["model=gru", "optimizer.lr=0.5", "+extra.key=3"],
    ["model=gru", "~scheduler"],
    ["data=scan_simple", "model=seq2seq", "hydra.sweeper.n_trials=3"],
    ["model=lstm", "model.hidden_size=8", "hydra/launcher=basic"],
]


@pytest.fixture
def hydras() -> Iterator[ConfigLoader]:
    with initialize_config_dir(str(paths.shipped("conf")), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


@pytest.fixture
def fixed(hydras: ConfigLoader) -> FixedLoader:
    return FixedLoader(hydras.get_search_path())


def text(config: DictConfig) -> str:
    return OmegaConf.to_yaml(config)  # nothing resolved: two looks at the clock differ


def compose(loader: ConfigLoader, overrides: list[str]) -> DictConfig:
    return loader.load_configuration("train", [*OURS, *overrides], RunMode.MULTIRUN)


def test_it_composes_what_hydra_composes_in_whatever_order(hydras: ConfigLoader, fixed: FixedLoader) -> None:
    expected = [compose(hydras, overrides) for overrides in CHOICES]
    order = [0, 1, 2, 3, 4, 5, 5, 3, 1, 0, 4, 2]
    for i in order:
        made = compose(fixed, CHOICES[i])
        assert text(made) == text(expected[i])
        assert OmegaConf.get_type(made.hydra, "sweeper") == OmegaConf.get_type(expected[i].hydra, "sweeper")
        made.model.hidden_size = 1000  # whoever has it may change it


@pytest.mark.parametrize("wrong", ["modl=gru", "model=grv", "model.hiden_size=3", "hydra.sweeper.n_trials=x"])
def test_it_refuses_what_hydra_refuses(hydras: ConfigLoader, fixed: FixedLoader, wrong: str) -> None:
    compose(fixed, [])
    with pytest.raises(HydraException) as hydras_own:
        compose(hydras, [wrong])
    with pytest.raises(HydraException) as ours:
        compose(fixed, [wrong])
    assert type(ours.value) is type(hydras_own.value)
    assert str(ours.value) == str(hydras_own.value)
    assert text(compose(fixed, [])) == text(compose(hydras, []))


def test_it_crosses_processes_without_what_it_keeps(fixed: FixedLoader) -> None:
    small = len(pickle.dumps(fixed))
    made = compose(fixed, [])
    assert len(pickle.dumps(fixed)) == small
    assert text(compose(pickle.loads(pickle.dumps(fixed)), [])) == text(made)
