"""A user's mistake is one clear line and exit status 2, and nothing has been written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seqsweep import paths
from seqsweep.cli import main


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SEQSWEEP_HOME", str(folder))
    return folder


def refused(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """The one line that `command` ends with."""
    status = main(command)
    captured = capsys.readouterr()
    assert status == 2, captured.err
    assert captured.err.startswith("seqsweep: ")
    assert len(captured.err.strip().splitlines()) == 1, captured.err
    return captured.err


TRAIN = [
    (["model=grv"], "model=grv: expected one of gru, lstm, rnn, seq2seq; did you mean 'gru'?"),
    (["data=digit"], "did you mean 'digits'?"),
    (["modl=gru"], "modl: the configuration has no such key; did you mean 'model'?"),
    (["model.hiden_size=3"], "no such key; did you mean 'model.hidden_size'?"),
    (["model.hidden_size=0"], "model.hidden_size=0: expected an integer of at least 1"),
    (["model.hidden_size=x"], "model.hidden_size=x: expected an integer of at least 1"),
    (["data.batch_size=-1"], "data.batch_size=-1: expected an integer of at least 1"),
    (["optimizer.lr=abc"], "optimizer.lr=abc: expected a number above 0"),
    (["optimizer.lr=0"], "optimizer.lr=0: expected a number above 0"),
    (["trainer.max_epochs=0"], "trainer.max_epochs=0: expected an integer of at least 1"),
    (["model.dropout=1"], "model.dropout=1: expected a number from 0 up to, not including, 1"),
    (["model.hidden_size=[1"], "cannot be read: expected key=value"),
    (["+trainer.max_epoch=3"], "trainer.max_epoch"),
    (["--config-name", "digts"], "study 'digts': there is no digts.yaml"),
    (["--config-dir", "nowhere"], "--config-dir nowhere: there is no such folder"),
]


@pytest.mark.parametrize(("overrides", "message"), TRAIN, ids=[" ".join(case[0]) for case in TRAIN])
def test_train(here: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], message: str) -> None:
    assert message in refused(capsys, "train", *overrides)
    assert list(here.iterdir()) == []


def test_a_data_folder_that_lacks_a_file_names_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(capsys, "train", "data=mnist_rows", f"data.root={here}")
    assert "train-images-idx3-ubyte" in message
    assert str(here / "mnist") in message
    assert "data.root" in message
    assert list(here.iterdir()) == []


SWEEP = [
    (["digts"], "study 'digts': there is no digts.yaml in sweeps/ or --config-dir: expected one of digits"),
    (["model=gru"], "expected the study's name first"),
    (["digits", "hydra.sweeper.metric=null"], "study 'digits' has no metric"),
    (["digits", "hydra.sweeper.metric=val/acuracy"], "did you mean 'val/accuracy'?"),
    (["digits", "hydra.sweeper.direction=up"], "hydra.sweeper.direction=up: expected one of minimize, maximize"),
    (["digits", "hydra.sweeper.n_trials=0"], "hydra.sweeper.n_trials=0: expected an integer of at least 1"),
    (["digits", "hydra.sweeper.n_trials=x"], "n_trials"),
    (["digits", "hydra.sweeper.trials=5"], "no such key; did you mean 'hydra.sweeper.n_trials'?"),
    (["digits", "hydra.sweeper.sampler._target_=optuna.samplers.TPSampler"], "did you mean 'optuna.samplers.TPESampler'?"),
    (["digits", "+hydra.sweeper.sampler.sed=1"], "hydra.sweeper.sampler: optuna.samplers.TPESampler"),
    (["digits", "hydra.sweeper.sampler._target_=optuna.samplers.BruteForceSampler"], "optimizer.lr is an interval, which has no grid"),
    (["digits", "hydra.sweeper.sampler=null"], "hydra.sweeper.sampler=None: expected a mapping with _target_"),
    (["digits", "hydra.sweeper.pruner=abc"], "hydra.sweeper.pruner=abc: expected a mapping with _target_"),
    (["digits", "hydra.sweeper.pruner._target_=os.getcwd"], "os.getcwd makes no pruner"),
    (["digits", "hydra.sweeper.enqueue=[3]"], "hydra.sweeper.enqueue: 3: expected a mapping"),
    (["digits", "hydra.sweeper.conditional=[3]"], "hydra.sweeper.conditional: 3: expected the keys when and params"),
    (["digits", "hydra.sweeper.metric=[val/accuracy,val/loss]"], "expected a list of 2, minimize or maximize for each of val/accuracy, val/loss"),
    (["digits", "hydra.sweeper.metric=[val/loss,val/loss]", "hydra.sweeper.direction=[minimize,minimize]"], "expected different metrics"),
    (["digits", "hydra.sweeper.metric=[val/loss,val/los]", "hydra.sweeper.direction=[minimize,minimize]"], "did you mean 'val/loss'?"),
    (["digits", "hydra.sweeper.metric=[val/loss,val/accuracy]", "hydra.sweeper.direction=[minimize,maximize]", "hydra.sweeper.pruner._target_=optuna.pruners.MedianPruner"], "a study of several objectives is not pruned"),
    (["digits", "hydra.sweeper.on_change=never"], "hydra.sweeper.on_change=never: expected one of stop, frozen, fresh, extend"),
    (["digits", "hydra.sweeper.direction=null"], "hydra.sweeper.direction=null: expected minimize or maximize"),
    (["digits", "hydra.launcher.trial_timeout=soon"], "hydra.launcher.trial_timeout=soon: Value 'soon' of type 'str' could not be converted to Float"),
    (["digits", "hydra.launcher.trial_timeout=-5"], "hydra.launcher.trial_timeout=-5.0: expected a number above 0"),
    (["digits", "tracking.uri=http://127.0.0.1:9"], "tracking server http://127.0.0.1:9 does not answer"),
    (["digits", "hydra.sweeper.enqueue=[{model: grv}]"], "hydra.sweeper.enqueue: model=grv lies outside"),
    (["digits", "hydra.sweeper.seeds=3"], "hydra.sweeper.seeds=3: not supported yet"),
    (["digits", "hydra.launcher.stack=0"], "hydra.launcher.stack=0: expected an integer of at least 1"),
    (["digits", "hydra.launcher.stack=many"], "hydra.launcher.stack=many: expected an integer of at least 1"),
    (["digits", "hydra.launcher.stack=4", "hydra.launcher.devices_per_trial=2"], "stack=4: expected 1 with hydra.launcher.devices_per_trial=2"),
    (["digits", "hydra.launcher.stack=4", "hydra.launcher.workers_per_device=auto"], "stack=4: expected 1 with hydra.launcher.workers_per_device=auto"),
    (["digits", "hydra/launcher=basic", "+hydra.launcher.stack=4"], "hydra.launcher.stack=4: expected hydra/launcher=seqsweep"),
    (["digits", "hydra/launcher=basic", "hydra.launcher.stack=4"], "hydra.launcher.stack: the launcher chosen has no such key: expected hydra/launcher=seqsweep"),
    (["digits", "hydra.launcher.workers=0"], "hydra.launcher.workers=0: expected an integer of at least 1"),
    (["digits", "hydra.launcher.retries=-1"], "hydra.launcher.retries=-1: expected an integer of at least 0"),
    (["digits", "optimizer.lr=interval(1,0.1)"], "the ends are swapped"),
    (["digits", "optimizer.lr=tag(log,interval(0,0.1))"], "needs ends above 0"),
    (["digits", "model.hidden_size=choice(0,32)"], "model.hidden_size=0: expected an integer of at least 1"),
    (["digits", "data.batch_size=choice(16,-1)"], "data.batch_size=-1: expected an integer of at least 1"),
    (["digits", "model=choice(gru,grv)"], "model=grv: expected one of gru"),
    (["digits", "optimizer.lr=abc"], "optimizer.lr=abc: expected a number above 0"),
    (["digits", "optimiser.lr=1"], "no such key; did you mean 'optimizer.lr'?"),
    (["digits", "data=mnist_rows", "data.root=/nowhere"], "train-images-idx3-ubyte"),
    (["digits", "hydra.sweeper.storage=sqlite:////nowhere/at/all.db"], "hydra.sweeper.storage=sqlite:////nowhere/at/all.db: cannot be opened"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), SWEEP, ids=[" ".join(case[0]) for case in SWEEP])
def test_sweep(here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert message in refused(capsys, "sweep", *arguments)
    assert list(here.iterdir()) == []


FILES = {
    "malformed": ("a: [1\nb: }", "malformed YAML"),
    "plain": ("defaults: [train, _self_]", "expected 'override hydra/sweeper: seqsweep' in its defaults"),
    "empty": ("", "expected 'override hydra/sweeper: seqsweep' in its defaults"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_study_file_of_ones_own(here: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    text, message = FILES[name]
    (here / f"{name}.yaml").write_text(text)
    assert message in refused(capsys, "sweep", name, "--config-dir", str(here))
    assert [path.name for path in here.iterdir()] == [f"{name}.yaml"]


def test_printing_a_wrong_configuration(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "data=digitz: expected one of" in refused(capsys, "train", "--cfg", "job", "data=digitz")


def test_an_unwritable_folder_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("SEQSWEEP_HOME", str(file / "home"))
    for command in (["train"], ["sweep", "digits"]):
        assert str(file) in refused(capsys, *command)


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/sys").is_dir(), reason="root may write anywhere")
def test_a_read_only_folder_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Even root cannot make files in /proc/sys.
    folder = Path("/proc/sys") if os.geteuid() == 0 else tmp_path
    if os.geteuid() != 0:
        folder.chmod(0o500)
    monkeypatch.setenv("SEQSWEEP_HOME", str(folder))
    assert str(folder) in refused(capsys, "sweep", "digits")


def test_every_shipped_study_composes_and_says_its_command(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for study in sorted(paths.shipped("sweeps").glob("*.yaml")):
        assert study.read_text().startswith(f"# seqsweep sweep {study.stem}\n")
        assert main(["sweep", study.stem, "--dry-run"]) == 0
        printed = capsys.readouterr().out.splitlines()
        assert len(printed) == 6
        assert printed[0].startswith("trial 0: ")
    assert list(here.iterdir()) == []


def test_every_option_of_every_group_composes_and_says_its_command() -> None:
    from hydra import compose, initialize_config_dir

    conf = paths.shipped("conf")
    with initialize_config_dir(config_dir=str(conf), version_base="1.3"):
        for option in sorted(conf.glob("*/*.yaml")):
            group, name = option.parent.name, option.stem
            header = [line for line in option.read_text().splitlines() if line.startswith("#")]
            assert any("seqsweep train" in line for line in header), option
            compose("train", overrides=[f"{group}={name}"])


def test_wrong_commands_show_the_right_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["trian"])
    assert stopped.value.code == 2
    assert "train" in capsys.readouterr().err
