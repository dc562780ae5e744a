"""Many trials of one architecture, trained as one model whose parameters carry a leading trial axis.

Nothing is imported here: the driver asks `seqsweep.stacking.plan` which trials go together, and must not
wait for torch.
"""
