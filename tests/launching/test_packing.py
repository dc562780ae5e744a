from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from contracts import executor_contract as jobs
from contracts.executor_contract import until_over
from seqsweep.launching import LocalExecutor, Packing, make_slots
from seqsweep.launching.packing import MARGIN, fitting
from seqsweep.protocol import Complete, Ended, Job, JobContext, Outcome

GB = 1 << 30
SIZES = st.integers(1, 200 * GB)


@given(SIZES, SIZES)
def test_as_many_fit_as_their_peaks_leave_room_for(size: int, peak: int) -> None:
    workers = fitting(size, peak)
    assert workers >= 1
    assert workers == 1 or workers * peak <= MARGIN * size
    assert (workers + 1) * peak > MARGIN * size - 1


@given(
    devices=st.integers(1, 8),
    cores=st.integers(1, 64),
    most=st.none() | st.integers(1, 64),
    ends=st.lists(st.tuples(st.integers(0, 7), SIZES, SIZES), max_size=10),
)
def test_slots_are_only_ever_added_and_never_overfill(
    devices: int, cores: int, most: int | None, ends: list[tuple[int, int, int]]
) -> None:
    slots = make_slots([str(i) for i in range(devices)], cores, most or "auto", "auto")
    packing = Packing(cores, most)
    largest, sizes = 0, {}
    for index, peak, size in ends:
        slot = slots[index % len(slots)]
        packing.learn(slot.devices, peak, size)
        largest, sizes[slot.devices] = max(largest, peak), size
        before, slots = slots, packing.open(slots)
        assert [(slot.id, slot.devices) for slot in slots[: len(before)]] == [
            (slot.id, slot.devices) for slot in before
        ]
        assert [slot.id for slot in slots] == list(range(len(slots)))
        assert len(slots) <= max(len(before), min(cores, most or cores))
        added = {slot.devices for slot in slots[len(before) :]}
        for device in added:
            assert sum(slot.devices == device for slot in slots) <= fitting(sizes[device], largest)


def test_slots_are_dealt_round_the_devices_and_share_the_cores() -> None:
    packing = Packing(cores=6)
    slots = make_slots("01", 6, workers_per_device="auto")
    packing.learn(("0",), 10 * GB, 80 * GB)
    packing.learn(("1",), 20 * GB, 80 * GB)
    slots = packing.open(slots)
    assert [slot.devices for slot in slots] == [("0",), ("1",)] * 3
    assert {slot.threads for slot in slots} == {1}
    packing.learn(("0",), 0, 0)  # a job that did not use its device says nothing
    assert packing.open(slots) == slots


def takes_memory(payload: int, context: JobContext) -> Outcome:
    """As if torch held so much of a device of 80 GB, and CUDA half a GB beside it."""
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        mem_get_info=lambda: (80 * GB - payload - GB // 2, 80 * GB),
        memory_reserved=lambda: payload,
        max_memory_reserved=lambda: payload,
        empty_cache=lambda: None,
        reset_peak_memory_stats=lambda: None,
    )
    sys.modules["torch"] = SimpleNamespace(cuda=cuda)  # type: ignore[assignment]
    return Complete()


def test_the_executor_opens_slots_once_it_has_seen_what_a_job_takes(tmp_path: Path) -> None:
    slots = make_slots("0", 16, workers_per_device="auto")
    with LocalExecutor(slots, packing=Packing(16)) as executor:
        executor.submit(Job(0, jobs.complete, 1.0, str(tmp_path)), executor.slots()[0])
        until_over(executor, 1)
        assert len(executor.slots()) == 1
        executor.submit(Job(1, takes_memory, 8 * GB, str(tmp_path)), executor.slots()[0])
        ended = until_over(executor, 1)[-1]
        assert isinstance(ended, Ended)
        assert ended.device_memory == 8 * GB + GB // 2
        assert len(executor.slots()) == fitting(80 * GB, ended.device_memory) == 8
        executor.submit(Job(2, jobs.complete, 1.0, str(tmp_path)), executor.slots()[7])
        until_over(executor, 1)
