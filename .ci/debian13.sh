#!/bin/sh
# Unpacks packages of Debian 13 that need nothing but libc into a folder, for suites that need them on other
# releases as well: debian13.sh FOLDER PACKAGES... With an apt configuration of its own; installs nothing. Never fails.
set -u
folder=$1
shift
[ "$(cat "$folder/.unpacked" 2>/dev/null || true)" = "$*" ] && exit 0
skip() {
    echo "*** $1: the suites with $packages will be SKIPPED" >&2
    exit 0
}
packages=$*
command -v apt-get >/dev/null 2>&1 || skip "apt-get is missing"
key=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f "$key" ] || skip "Debian's keyring is missing"
mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" "$folder/apt/sources"
apt=$(cd "$folder/apt" && pwd)
printf 'Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\nSigned-By: %s\n' \
    "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" "$key" >"$apt/sources/trixie.sources"
private() {
    apt-get -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$apt/sources" -o Dir::State::lists="$apt/lists" \
        -o Dir::Cache="$apt/cache" -o Acquire::Languages=none -o APT::Sandbox::User=root "$@"
}
private update >/dev/null 2>&1 || skip "Debian 13 cannot be reached"
(cd "$apt" && private download $packages >/dev/null 2>&1) || skip "Debian 13 has not all of $packages"
for file in "$apt"/*.deb; do
    dpkg -x "$file" "$folder" || skip "$file cannot be unpacked"
done
echo "$*" >"$folder/.unpacked"
