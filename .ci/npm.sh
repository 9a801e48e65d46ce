#!/bin/sh
# Puts npm packages into a folder: npm.sh FOLDER PACKAGES... Says loudly what will be skipped if it cannot; never fails.
set -eu
folder=$1
shift
if ! command -v npm >/dev/null 2>&1; then
    echo "*** npm is missing (Debian: apt-get install nodejs npm): the suites with $* will be SKIPPED" >&2
    exit 0
fi
mkdir -p "$folder"
[ "$(cat "$folder/.installed" 2>/dev/null || true)" = "$*" ] && exit 0
[ -f "$folder/package.json" ] || echo '{"private": true}' >"$folder/package.json"
if npm install --prefix "$folder" --silent --no-audit --no-fund "$@"; then
    echo "$*" >"$folder/.installed"
else
    echo "*** npm could not install $*: their suites will be SKIPPED" >&2
fi
