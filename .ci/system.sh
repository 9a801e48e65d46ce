#!/bin/sh
# Installs the Debian packages that the interop suites need, when it may. Otherwise says loudly what will be skipped;
# the suites themselves skip with the same reason, and fail instead of skipping when CI=true.
set -eu
missing_of() {
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || printf ' %s' "$package"
    done
}

install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

missing=$(missing_of "$@")
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing for the interop suites:$missing"
    apt-get update -qq || true
    # one by one when they cannot be had together: a missing one costs its own suites only
    install $missing || for package in $missing; do install "$package" || true; done
    missing=$(missing_of "$@")
    [ -z "$missing" ] && exit 0
    echo "*** could not install:$missing" >&2
fi
echo "*** interop suites that need these packages will be SKIPPED:$missing" >&2
echo "*** to run them: apt-get install$missing (as root)" >&2
