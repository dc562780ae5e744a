"""The error hierarchy: what a user sees when something is wrong.

Every message says what was given, what was expected and, where it can, how to
mend it. The command line prints the message alone and exits with `exit_code`;
anything that is not a `SeqsweepError` is a bug of ours and keeps its traceback.

    SeqsweepError            exit 1   the run or the study failed
    ├── RecordError                   the record could not be handed to the tracking store
    └── UsageError           exit 2   what was typed or written is wrong
        ├── ConfigError               a value in the configuration
        ├── DataError                 a data set's files
        ├── StudyError                a study file
        │   └── StudyChangedError     a study that has changed since it began
        └── StoreError                a tracking or study store, or its folder
"""

from __future__ import annotations

import re


def without_password(text: str) -> str:
    """`text` with what stands between ``:`` and ``@`` in an address left out."""
    return re.sub(r"(://[^\s:/@]*):[^\s@/]*@", r"\1:***@", text)


def first_line(error: BaseException) -> str:
    """What `error` says, in a line; its kind if it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


class SeqsweepError(Exception):
    """Base of all errors that are reported as one message, in which no password of an address stands."""

    exit_code = 1

    def __str__(self) -> str:
        return without_password(super().__str__())


class RecordError(SeqsweepError):
    """The work is done, but the tracking store does not have all of its record."""


class UsageError(SeqsweepError):
    """The command, the configuration or the input is wrong; nothing was done."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration value is wrong; the message begins with ``key=value``."""

    def under(self, group: str) -> ConfigError:
        """The same error, its key given from the root of the configuration.

        A constructor knows its argument as ``hidden_size``; the user wrote
        ``model.hidden_size``.
        """
        return ConfigError(f"{group}.{self}")


class DataError(UsageError):
    """A data set's files are missing or malformed."""


class StudyError(UsageError):
    """A study file is wrong, or no longer fits what is stored."""


class StudyChangedError(StudyError):
    """The study file or the command differs from what the stored study began with."""


class StoreError(UsageError):
    """A store or its folder cannot be used."""


class TrialPruned(Exception):
    """Raised by `seqsweep.report` when the pruner says stop."""
