"""``python -m rtcpeer``: see `rtcpeer.cli.main`."""

from __future__ import annotations

import sys

from rtcpeer.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
