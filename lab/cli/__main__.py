"""``python -m lab.cli``: the same as ``aether``."""

import sys

from lab.cli.main import main

sys.exit(main())
