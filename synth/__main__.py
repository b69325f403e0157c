"""`python -m synth` is the command `synth`."""

import sys

from synth.cli import main

sys.exit(main())
