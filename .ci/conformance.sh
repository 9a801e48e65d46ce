#!/bin/sh
# Runs the W3C web-platform-tests through the rig in $1 and compares with the baseline, which may only grow.
set -eu
rig=$1
suite=${WPT_DIR:-$HOME/.cache/wpt}
venv=.venv-conformance
if [ ! -f "$rig/run.py" ]; then
    echo "*** conformance SKIPPED: no rig at $rig (make conformance WPT_RIG=folder)"
    exit 0
fi
python=
for candidate in python3.13 python3.12; do
    if command -v $candidate >/dev/null 2>&1 && $candidate -c '' 2>/dev/null; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
    echo "*** conformance SKIPPED: the rig needs Python 3.12 or 3.13"
    exit 0
fi
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r .ci/requirements.txt 'stpyv8>=13,<14'
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -e .
if [ ! -f "$suite/VERSION" ]; then
    echo "*** conformance SKIPPED: the suite is not in $suite; get it with: sh $rig/setup.sh --python $venv/bin/python"
    exit 0
fi
mkdir -p artifacts
root=$(pwd)
# The suite with the interfaces of webrtc-extensions that its own files are too old for: links, and one longer file.
overlay=$root/artifacts/suite
rm -rf "$overlay"
mkdir -p "$overlay/interfaces"
for entry in "$suite"/*; do
    [ "${entry##*/}" = interfaces ] || ln -s "$entry" "$overlay"
done
ln -s "$suite"/interfaces/* "$overlay/interfaces"
rm "$overlay/interfaces/webrtc.idl"
cat "$suite/interfaces/webrtc.idl" tests/conformance/extensions.idl > "$overlay/interfaces/webrtc.idl"
# the suite webrtc/ as the rig lists it, and the smaller suites beside it
cat "$rig/files.txt" tests/conformance/more_files.txt > artifacts/conformance-files.txt
(cd "$rig" && "$root/$venv/bin/python" run.py --target rtcpeer --python "$root/$venv/bin/python" \
    --wpt-dir "$overlay" --pythonpath "$root" --json "$root/artifacts/conformance.json" --list "$root/artifacts/conformance-files.txt" \
    --dirs webrtc,webrtc-stats,webrtc-extensions,webrtc-priority,webrtc-svc,webrtc-encoded-transform)
"$venv/bin/python" tests/conformance/check.py artifacts/conformance.json
