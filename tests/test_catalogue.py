"""What the catalogue says of the named sets."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
import yaml

from seqsweep import paths
from seqsweep.catalogue import SETS, DataSet, find_set, origin
from seqsweep.data import files
from seqsweep.errors import DataError
from seqsweep.spec import KINDS

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = {
    path.stem: yaml.safe_load(path.read_text()) for path in (paths.shipped("conf") / "data").glob("*.yaml")
}


@pytest.mark.parametrize("known", SETS.values(), ids=SETS)
def test_an_entry_is_whole(known: DataSet) -> None:
    assert known.kind in KINDS
    assert all((known.title, known.licence, known.home, known.files))
    names = [file.name for file in known.files]
    assert len(set(names)) == len(names)
    assert all(len(file.sha256) == 64 and file.size > 0 for file in known.files)
    assert all(file.address is None or file.address.startswith("https://") for file in known.files)
    assert known.fetchable or not any(file.address for file in known.files)


@pytest.mark.parametrize("known", SETS.values(), ids=SETS)
def test_the_files_are_the_published_ones(known: DataSet, real_data: Path) -> None:
    for file in known.files:
        content = files.read_bytes(files.require(real_data / known.name, file.name, known.home))
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)


def test_the_options_of_the_configuration_and_of_the_catalogue_are_the_same() -> None:
    named = {name: config["dataset"] for name, config in OPTIONS.items() if config.get("dataset")}
    for option, dataset in named.items():
        assert option in SETS[dataset].used_by
    for known in SETS.values():
        assert set(known.used_by) <= set(OPTIONS)


def test_an_unknown_name_says_the_nearest() -> None:
    with pytest.raises(DataError, match=r"data set 'trek': expected one of mnist, .*; did you mean 'trec'\?"):
        find_set("trek")


def test_where_a_set_is_to_be_had() -> None:
    assert origin("trec") == "https://cogcomp.seas.upenn.edu/Data/QA/QC/ (`seqsweep data fetch trec` does)"
    assert "fetch" not in origin("airline")
    assert origin("mine") == "its authors"


def test_the_files_are_those_that_the_data_modules_look_for() -> None:
    from seqsweep.data import mnist

    assert {file.name for file in SETS["mnist"].files} == set(mnist.FILES.values())
