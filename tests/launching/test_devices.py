from __future__ import annotations

import pytest

from seqsweep.errors import ConfigError
from seqsweep.launching import find_devices, make_slots
from seqsweep.launching.devices import parse_listing
from seqsweep.protocol import Slot

PLAIN = """\
GPU 0: NVIDIA H200 (UUID: GPU-8c0ae1f7-1f3b-4c5e-9d0f-0123456789ab)
GPU 1: NVIDIA H200 (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
"""
DIVIDED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 3g.20gb     Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 1g.5gb      Device  1: (UUID: MIG-GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77/13/0)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-8c0ae1f7-1f3b-4c5e-9d0f-0123456789ab)
"""


def test_gpus_go_by_their_numbers() -> None:
    assert parse_listing(PLAIN) == ("0", "1")
    assert parse_listing("") == ()
    assert parse_listing("No devices were found") == ()


def test_mig_instances_stand_for_their_gpu() -> None:
    assert parse_listing(DIVIDED) == (
        "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f",
        "MIG-GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77/13/0",
        "GPU-8c0ae1f7-1f3b-4c5e-9d0f-0123456789ab",
    )


@pytest.mark.parametrize(
    ("visible", "devices"),
    [
        ("2,5", ("2", "5")),
        ("GPU-8c0ae1f7, GPU-5d5ba0d6", ("GPU-8c0ae1f7", "GPU-5d5ba0d6")),
        ("MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", ("MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f",)),
        ("0,-1,1", ("0",)),
        ("", ()),
        ("-1", ()),
    ],
)
def test_what_is_visible_already_is_kept(
    monkeypatch: pytest.MonkeyPatch, visible: str, devices: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert find_devices() == devices


def test_without_gpus_a_slot_is_a_core() -> None:
    assert make_slots((), cores=3) == [Slot(0), Slot(1), Slot(2)]
    assert make_slots((), cores=8, workers=2) == [Slot(0, threads=4), Slot(1, threads=4)]
    assert make_slots((), cores=2, workers=3) == [Slot(0), Slot(1), Slot(2)]


def test_a_trial_on_several_cores_has_fewer_slots() -> None:
    assert make_slots((), cores=5, devices_per_trial=2) == [
        Slot(0, threads=2, processes=2),
        Slot(1, threads=2, processes=2),
    ]
    assert make_slots((), cores=4, workers=1, devices_per_trial=2) == [Slot(0, threads=4, processes=2)]


def test_workers_share_gpus_and_are_dealt_round_them() -> None:
    slots = make_slots(("0", "1"), cores=8, workers_per_device=2)
    assert [slot.devices for slot in slots] == [("0",), ("1",), ("0",), ("1",)]
    assert [slot.threads for slot in slots] == [2, 2, 2, 2]
    assert [slot.devices for slot in make_slots("012", cores=8, workers=2)] == [("0",), ("1",)]


def test_auto_begins_with_one_worker_a_gpu() -> None:
    assert len(make_slots("012", cores=8, workers_per_device="auto")) == 3
    assert len(make_slots("012", cores=8, workers=2, workers_per_device="auto")) == 2
    assert len(make_slots("012", cores=8, workers=9, workers_per_device="auto")) == 3
    assert len(make_slots((), cores=2, workers_per_device="auto")) == 2


def test_a_trial_on_several_gpus_has_them_to_itself(caplog: pytest.LogCaptureFixture) -> None:
    slots = make_slots("01234", cores=8, devices_per_trial=2)
    assert slots == [Slot(0, ("0", "1"), 4, processes=2), Slot(1, ("2", "3"), 4, processes=2)]
    assert caplog.messages == ["hydra.launcher.devices_per_trial=2 leaves 1 of 5 GPUs idle"]


@pytest.mark.parametrize(
    ("devices", "given", "message"),
    [
        ("01", {"devices_per_trial": 3}, "devices_per_trial=3: expected at most 2, the GPUs there are"),
        ("", {"devices_per_trial": 9}, "devices_per_trial=9: expected at most 8, the cores there are"),
        ("01", {"devices_per_trial": 0}, "devices_per_trial=0: expected an integer of at least 1"),
        ("01", {"workers": 3}, "workers=3: expected at most 2"),
        ("0123", {"workers": 3, "devices_per_trial": 2}, "workers=3: expected at most 2"),
        ("01", {"workers_per_device": "many"}, "workers_per_device=many: expected an integer"),
        (("MIG-1", "MIG-2"), {"devices_per_trial": 2}, "devices_per_trial=2: expected 1 on MIG instances"),
    ],
)
def test_what_cannot_be_had_is_said(devices: tuple[str, ...], given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_slots(devices, cores=8, **given)  # type: ignore[arg-type]
