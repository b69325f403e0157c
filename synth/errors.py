"""What can go wrong, and which exit code it earns.

    SynthError
    +-- UsageError          2  a wrong option, configuration or input; nothing was started
    |   +-- NotBuiltError   2  a command or option that this version does not have
    |   +-- ConflictError   2  a run folder that belongs to another configuration or process
    +-- NoSpaceError        2  the disk is full; what was finished is kept
    +-- StopWork            0  a limit was reached or a signal came; nothing is wrong
    +-- FaultError          1  the work itself found a fault (a proof that does not replay, no yield)
    +-- EndpointError       3  the model's endpoint failed

A bad row is not an error: it is a row with a status, a reason and findings. `Unanswered` is what
makes one row fail.
"""

from __future__ import annotations


class SynthError(Exception):
    """Base of every error that the command line reports in one line."""

    exit_code = 2


class UsageError(SynthError):
    """A wrong option, configuration or input."""


class NotBuiltError(UsageError):
    """A command or option that this version does not have."""


class ConflictError(UsageError):
    """A run folder that is in use, or holds a run of another configuration."""


class NoSpaceError(SynthError):
    """The disk is full or may not be written."""


class FaultError(SynthError):
    """The work ran and found a fault."""

    exit_code = 1


class EndpointError(SynthError):
    """The model's endpoint could not be used."""

    exit_code = 3


class StopWork(SynthError):
    """A limit was reached or a signal came: what is finished is kept, and the same command goes on."""

    exit_code = 0


class Unanswered(Exception):
    """No usable reply came for a row; the text is the row's reason."""


class NotStored(Unanswered):
    """A replay lacks a reply."""
