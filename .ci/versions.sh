#!/bin/sh
# Runs suites on every other supported Python that is found, on PATH or among pyenv's, and with the oldest and the newest
# releases of what rtcpeer needs:
#   versions.sh MAIN_PYTHON PYTEST_ARGUMENTS...
# RTCPEER_SETS names other environments than all of them: a version of Python ("3.12"), "oldest" or "newest".
# RTCPEER_VERSIONS_JOBS says how many run at a time (all, if it is not set).
set -eu
main_python=$1
main=$("$main_python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
shift
sets=${RTCPEER_SETS:-3.11 3.12 3.13 3.14 oldest newest}

# A shim of pyenv is on PATH, but fails unless that version is selected: only what answers is a Python.
find_python() {
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
        if "$candidate" -c "import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

# What is pinned for the tests, with another release of what rtcpeer itself needs.
requirements() {
    case $1 in
        oldest) cat .ci/oldest.txt ;;
        newest) sed 's/==.*//' .ci/oldest.txt ;;
    esac
    case $1 in
        oldest | newest)
            # the tools that the suites need, whose own needs pip finds out
            grep -E '^(argcomplete|hypothesis|imageio-ffmpeg|jsonschema|livekit-protocol|numpy|PyJWT|python-socketio|pytest|pytest-asyncio|pytest-timeout|pytest-xdist|prometheus_client|redis)==' .ci/requirements.txt
            ;;
        *) cat .ci/requirements.txt ;;
    esac
}

prepare() {
    venv=.venv-$1
    if [ ! -f "$venv/.installed" ] || [ .ci/requirements.txt -nt "$venv/.installed" ] ||
        [ .ci/oldest.txt -nt "$venv/.installed" ] || [ pyproject.toml -nt "$venv/.installed" ]; then
        requirements "$1" >"$logs/$1.txt"
        "$2" -m venv --clear "$venv" &&
            "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$logs/$1.txt" &&
            "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -e . &&
            touch "$venv/.installed"
    fi
}

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
ready=
for set in $sets; do
    [ "$set" = "$main" ] && continue
    case $set in
        oldest | newest) python=$main_python ;;
        *) python=$(find_python "$set") ;;
    esac
    [ -n "$python" ] || continue
    if prepare "$set" "$python"; then
        ready="$ready $set"
    else
        echo "*** the environment of $set could not be made: NOT TESTED with it" >&2
    fi
done
if [ -z "$ready" ]; then
    echo "*** only Python $main with its pinned packages is here: nothing else was TESTED"
    exit 0
fi

status=0
running=
finish() {
    for each in $running; do
        set=${each%%:*}
        wait "${each#*:}" && passed=yes || passed=no
        # as in test.py: a few that fail are run a second time, by themselves
        if [ $passed = no ] && [ "$(grep -c '^FAILED ' "$logs/$set")" -le 8 ]; then
            cat "$logs/$set"
            echo "*** $set: what has failed, once more"
            ".venv-$set/bin/python" -m pytest -q -o "cache_dir=$logs/cache-$set" --last-failed --last-failed-no-failures none "$@" >"$logs/$set" 2>&1 && passed=yes
        fi
        echo "$set: $(".venv-$set/bin/python" .ci/matrix.py)"
        if [ $passed = yes ]; then
            tail -n 1 "$logs/$set"
        else
            status=1
            cat "$logs/$set"
        fi
    done
    running=
}
count=0
for set in $ready; do
    ".venv-$set/bin/python" -m pytest -q -o "cache_dir=$logs/cache-$set" "$@" >"$logs/$set" 2>&1 &
    running="$running $set:$!"
    count=$((count + 1))
    [ $count -lt "${RTCPEER_VERSIONS_JOBS:-99}" ] || { finish; count=0; }
done
finish
exit $status
