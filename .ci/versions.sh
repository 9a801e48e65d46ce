#!/bin/sh
# Runs suites on every other supported Python that is installed: versions.sh MAIN_PYTHON PYTEST_ARGUMENTS...
set -eu
main=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
shift
found=
for version in 3.11 3.12 3.13; do
    [ "$version" = "$main" ] && continue
    python=python$version
    command -v "$python" >/dev/null 2>&1 && "$python" -c 'import venv, ensurepip' 2>/dev/null || continue
    found="$found $version"
    venv=.venv-$version
    if [ ! -f "$venv/.installed" ] || [ .ci/requirements.txt -nt "$venv/.installed" ] || [ pyproject.toml -nt "$venv/.installed" ]; then
        "$python" -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r .ci/requirements.txt
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -e .
        touch "$venv/.installed"
    fi
    echo "Python $version:"
    "$venv/bin/python" -m pytest -q -n 2 -p no:cacheprovider "$@"
done
[ -n "$found" ] || echo "*** only Python $main is installed here: other versions were not tested"
