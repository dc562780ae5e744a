"""What an error says."""

from __future__ import annotations

import pytest

from seqsweep.errors import SeqsweepError, StoreError, without_password


@pytest.mark.parametrize("kind", [SeqsweepError, StoreError])
def test_no_password_of_an_address_is_told(kind: type[SeqsweepError]) -> None:
    error = kind("postgresql+psycopg://me:secret@host:5432/runs: cannot be opened; try http://host:80/a@b")
    assert (
        str(error) == "postgresql+psycopg://me:***@host:5432/runs: cannot be opened; try http://host:80/a@b"
    )
    assert without_password(str(error)) == str(error)
