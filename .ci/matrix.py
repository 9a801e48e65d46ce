"""One line of the matrix of versions: what the running Python has installed of what rtcpeer needs."""

import platform
import sys
from importlib.metadata import version

NAMES = ("aiortc", "av", "cryptography", "pyOpenSSL", "aioice")

if __name__ == "__main__":
    sys.stdout.write(
        f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in NAMES)
        + "\n"
    )
