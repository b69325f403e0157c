"""The command line: wraps the Python API, reports errors in one line, and sets the exit code.

Exit codes: 0 done, 1 the work found a fault, 2 wrong usage or input or no disk, 3 the endpoint
failed, 130 interrupted (what was finished is kept; the same command goes on).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from synth.cli.parser import parse
from synth.errors import SynthError
from synth.process import NO_SPACE
from synth_kg.bundle import DamagedGraph
from synth_kg.tables import TableError

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:  # noqa: PLR0911  (one for each way to end)
    """Run one command; returns its exit code."""
    try:
        arguments = parse(argv)
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except SynthError as error:
        _say(f"synth: {error}")
        return error.exit_code
    except (DamagedGraph, TableError) as error:
        _say(f"synth: the bundled knowledge cannot be used: {error}")
        return SynthError.exit_code
    except KeyboardInterrupt:
        _say("synth: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (`| head`) has gone, which is its good right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in NO_SPACE:
            _say(f"synth: {error}")
            return SynthError.exit_code
        _say(f"synth: the disk is full ({error}); free some space and run the same command again")
        return SynthError.exit_code


def _say(text: str) -> None:
    print(text.replace("\n", " "), file=sys.stderr)
