#!/bin/sh
# Installs the Debian packages that the interop suites need, when it may. Otherwise says loudly what will be skipped;
# the suites themselves skip with the same reason, and fail instead of skipping when CI=true.
set -eu
missing=
for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing for the interop suites:$missing"
    if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null; then
        exit 0
    fi
    echo "*** could not install:$missing" >&2
fi
echo "*** interop suites that need these packages will be SKIPPED:$missing" >&2
echo "*** to run them: apt-get install$missing (as root)" >&2
