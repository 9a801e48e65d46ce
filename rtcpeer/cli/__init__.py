"""The command line, ``rtcpeer`` or ``python -m rtcpeer``: a package for each larger command.

In reading order: `main` (arguments), `running` (how a command ends), `report` (events on the output), `files` (tracks
that play a file); `demo`, `serve`, `relay`, `whip` (with ``whep``), `join`, `doctor`, `picture` (``rtcpeer report``).
"""
