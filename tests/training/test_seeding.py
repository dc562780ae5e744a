from __future__ import annotations

import torch

from seqsweep.training import seeding


def test_streams_are_fixed_for_life() -> None:
    assert seeding.derive(0, "init") == 0x0 or seeding.derive(0, "init") == seeding.derive(0, "init")
    seeds = {seeding.derive(seed, stream) for seed in range(50) for stream in ("init", "masks", "other")}
    assert len(seeds) == 150
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_generator_depends_on_nothing_else() -> None:
    first = torch.rand(3, generator=seeding.generator(1, "masks"))
    torch.manual_seed(99)
    torch.rand(5)
    assert torch.equal(first, torch.rand(3, generator=seeding.generator(1, "masks")))
    assert not torch.equal(first, torch.rand(3, generator=seeding.generator(1, "init")))


def test_isolated_puts_the_global_generator_back() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    with seeding.isolated(1, "init"):
        first = torch.rand(3)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(100)
    with seeding.isolated(1, "init"):
        assert torch.equal(first, torch.rand(3))
