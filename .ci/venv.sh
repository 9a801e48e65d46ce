#!/bin/sh
# Makes the virtual environment; Debian keeps `venv` in a package of its own, which root may install.
set -eu
python=$1 venv=$2
[ -x "$venv/bin/python" ] && exit 0
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv
    else
        echo "rtcpeer: Python's venv module is missing. Install it (Debian: apt-get install python3-venv) and try again." >&2
        exit 1
    fi
fi
exec "$python" -m venv "$venv"
