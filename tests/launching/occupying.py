"""A job that says which device it sees, and how many others are on it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from seqsweep.protocol import Complete, JobContext, Outcome


def occupy(payload: dict[str, Any], context: JobContext) -> Outcome:
    """Take the first free place on the device, wait until `together` jobs have begun, and leave."""
    folder = Path(payload["folder"])
    device = os.environ["CUDA_VISIBLE_DEVICES"]
    place, taken = _take_place(folder, device)
    (folder / f"begun-{context.trial}").touch()
    while len(list(folder.glob("begun-*"))) < payload["together"]:
        time.sleep(0.01)
    seen = _devices_torch_sees() if payload["real"] else 1
    (folder / f"saw-{context.trial}").write_text(f"{device} {place} {seen} {context.slot.devices[0]}")
    taken.unlink()
    return Complete((0.0,))


def _take_place(folder: Path, device: str) -> tuple[int, Path]:
    place = 0
    while True:
        taken = folder / f"device-{device}-{place}"
        try:
            taken.touch(exist_ok=False)
        except FileExistsError:
            place += 1
        else:
            return place, taken


def _devices_torch_sees() -> int:
    import torch

    torch.ones(1, device="cuda")
    return torch.cuda.device_count()


def look_at_server(payload: Any, context: JobContext) -> Outcome:
    """What the process that this one was forked from has done with CUDA and threads."""
    import torch

    server = Path(f"/proc/{os.getppid()}")
    seen = {
        "imported": "libtorch" in (server / "maps").read_text(),
        "cuda": torch.cuda.is_initialized(),
        "threads": len(list((server / "task").iterdir())),
    }
    return Complete(detail=seen)
