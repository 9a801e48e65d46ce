#!/bin/sh
# Runs suites on every other supported Python that is found, on PATH or among pyenv's, all of them at once:
#   versions.sh MAIN_PYTHON PYTEST_ARGUMENTS...
set -eu
main=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
shift

# A shim of pyenv is on PATH, but fails unless that version is selected: only what answers is a Python.
find_python() {
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
        if "$candidate" -c "import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

prepare() {
    venv=.venv-$1
    if [ ! -f "$venv/.installed" ] || [ .ci/requirements.txt -nt "$venv/.installed" ] || [ pyproject.toml -nt "$venv/.installed" ]; then
        "$2" -m venv --clear "$venv" &&
            "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r .ci/requirements.txt &&
            "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -e . &&
            touch "$venv/.installed"
    fi
}

ready=
for version in 3.11 3.12 3.13; do
    [ "$version" = "$main" ] && continue
    python=$(find_python "$version")
    [ -n "$python" ] || continue
    if prepare "$version" "$python"; then
        ready="$ready $version"
    else
        echo "*** Python $version is here, but its environment could not be made: NOT TESTED on it" >&2
    fi
done
if [ -z "$ready" ]; then
    echo "*** only Python $main is here: other versions were NOT TESTED"
    exit 0
fi

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
running=
for version in $ready; do
    ".venv-$version/bin/python" -m pytest -q -p no:cacheprovider "$@" >"$logs/$version" 2>&1 &
    running="$running $version:$!"
done
status=0
for each in $running; do
    version=${each%%:*}
    wait "${each#*:}" && passed=yes || passed=no
    echo "Python $version:"
    if [ $passed = yes ]; then
        tail -n 1 "$logs/$version"
    else
        status=1
        cat "$logs/$version"
    fi
done
exit $status
