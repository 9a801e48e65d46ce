"""``python -m rtcpeer`` and the command ``rtcpeer``: see `rtcpeer.cli.main`.

Owns: that Ctrl-C is no traceback while the rest is being imported.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return the exit status."""
    try:
        from rtcpeer.cli import main as command_line

        return command_line.main()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
