"""`python3 -m burstd.far`: the far end's program from a source tree."""

import sys

from burstd.far.cli import main

sys.exit(main(sys.argv[1:]))
