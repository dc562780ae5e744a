"""What seqsweep costs beside bare PyTorch, and what the usual stack costs: one command, one table.

    make bench
    PYTHONPATH=benchmarks .venv/bin/python -m speed --only single logging --repeats 3

The floor is a bare PyTorch loop, or a bare pool of processes; stock is Hydra, Lightning with a
DataLoader, ModelCheckpoint and MLFlowLogger as a careful user writes it; ours is what `seqsweep train`
and `seqsweep sweep` run. All do the same work: the same network, initial weights, data, order of the
batches, optimiser, clipping and validations. Their losses are compared, and a difference is an error.
"""
