"""`python -m pghot`."""

import sys

from pghot.cli import main

sys.exit(main())
