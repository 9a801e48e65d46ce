# rtcpeer: few verbs. `make demo` and `make test` set everything up by themselves.
#
#   make demo         the main job, headless: two peers, a TURN server, a restart, an outage
#   make serve        the main job with a browser: a page on localhost
#   make test         style, types, contracts and every test suite (what CI runs)
#   make unit         the fast suites only
#   make interop      the suites that talk to Chromium, Firefox, coturn, network namespaces and plain aiortc
#   make npm          libwebrtc and werift under Node, and what Simple WHIP Server needs, for their interop suites
#   make explore      the property tests with new random examples, and calls of 24 virtual hours, until one fails
#   make fuzz         mutated descriptions, media and handshakes, and glare, ten times as many as in the tests
#   make mutants      mutation testing of the pure modules, hours long (MODULES=... for some)
#   make verifytypes  whether the types of the public face are complete (pyright)
#   make versions     unit and scenario suites on every other Python that is installed, and with the oldest and newest packages
#   make bench        side by side with aiortc, and what servers of rooms and WHIP cost
#   make conformance  the W3C web-platform-tests, when the suite is present (WPT_RIG=folder of the rig)
#   make docs         the documentation site, in build/site
#   make release      wheel and source distribution, built twice, compared and checked, in dist; nothing is uploaded
#   make coverage     each module by its own tests
#   make clean

PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WPT_RIG ?= ../shared/wpt
# more than there may be cores: what talks to other programs waits most of its time
JOBS ?= 4
APT_PACKAGES := chromium coturn firefox-esr gir1.2-gst-plugins-bad-1.0 golang-github-pion-webrtc.v3-dev golang-go \
    gstreamer1.0-nice gstreamer1.0-plugins-bad gstreamer1.0-plugins-base gstreamer1.0-plugins-good iproute2 janus nftables python3-gst-1.0 redis-server
# stacks under Node, for suites that are skipped without them, by CI as well: it shall not wait for npm
NPM_PACKAGES := @roamhq/wrtc@0.10.0 werift@0.24.4 node-datachannel@0.33.4 rtcmulticonnection@3.7.1 rtcmulticonnection-server@1.3.3 peer@1.0.2 peerjs@1.5.5 \
    async@3.2.6 body-parser@1.20.3 colors@1.4.0 cors@2.8.5 debug@4.4.3 express@4.21.2 websocket@1.0.35 \
    whip-whep@1.2.0 @eyevinn/whip-web-client@1.1.7 @eyevinn/webrtc-player@0.13.0 esbuild@0.28.2 @pipecat-ai/client-js@1.13.1 @pipecat-ai/small-webrtc-transport@1.10.8 livekit-client@2.23.0 axe-core@4.14.1
# programs of Debian 13 that run on other releases too
DEBIAN13_PACKAGES := simple-whip-server promtool

# hundreds of processes are started by the tests: where this is set, each of them compiles the whole package anew
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help docs setup system npm demo serve style types contracts test unit interop explore fuzz mutants verifytypes versions bench conformance release coverage clean

help:
	@sed -n '3,20s/^#  //p' Makefile

setup: $(STAMP)

$(STAMP): .ci/requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "rtcpeer needs Python 3.11 or later; none was found (set PYTHON=)"; exit 1; }
	@sh .ci/venv.sh "$(PYTHON)" "$(VENV)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r .ci/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $(STAMP)

system:
	@sh .ci/system.sh $(APT_PACKAGES)

npm:
	@sh .ci/npm.sh build/npm $(NPM_PACKAGES)
	@sh .ci/debian13.sh build/debian13 $(DEBIAN13_PACKAGES)

demo: setup
	$(BIN)/python -m rtcpeer demo

serve: setup
	$(BIN)/python -m rtcpeer serve

style: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

verifytypes: setup
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check basedpyright==1.40.2
	$(BIN)/python .ci/verifytypes.py

types: setup
	$(BIN)/mypy

contracts: setup
	$(BIN)/lint-imports

test: setup system style contracts
	$(BIN)/python .ci/test.py $(JOBS)

unit: setup
	$(BIN)/python -m pytest -q tests/unit tests/property tests/architecture

interop: setup system npm
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal tests/interop

explore: setup
	@while HYPOTHESIS_PROFILE=explore $(BIN)/python -m pytest -q -n 2 tests/property; do :; done; false

fuzz: setup
	RTCPEER_FUZZ_CASES=10000 $(BIN)/python -m pytest -q --timeout 3600 -k fuzzed tests/unit/signaling/http
	RTCPEER_FUZZ_CASES=200000 RTCPEER_GLARE_ROUNDS=1000 $(BIN)/python -m pytest -q --timeout 3600 -k "corpus or survives or stress" \
	    tests/property tests/scenarios/test_glare.py tests/unit/dtls/test_handshake.py tests/unit/media/video/test_sizes.py tests/unit/signaling tests/unit/rtp

mutants: setup
	@test -x build/mutants/venv/bin/cosmic-ray || { "$(PYTHON)" -m venv build/mutants/venv && build/mutants/venv/bin/python -m pip install --quiet --disable-pip-version-check -r .ci/mutants.txt; }
	@exec $(BIN)/python .ci/mutants.py "$(CURDIR)/build/mutants/venv/bin/cosmic-ray" "$(abspath $(BIN))/python" $(MODULES)

versions: setup
	@RTCPEER_VERSIONS_JOBS=2 sh .ci/versions.sh $(BIN)/python tests/unit tests/property tests/scenarios

bench: setup
	@mkdir -p build/bench
	$(BIN)/python -m tests.bench.run --json build/bench/run.json
	$(BIN)/python -m tests.bench.rooms
	$(BIN)/python -m tests.bench.whip
	$(BIN)/python -m tests.bench.sockets
	$(BIN)/python -m tests.bench.packets
	$(BIN)/python -m tests.bench.relay --climb --json build/bench/relay.json
	$(BIN)/python -m tests.bench.table build/bench/run.json build/bench/relay.json

conformance: setup
	@sh .ci/conformance.sh "$(WPT_RIG)"

docs: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r .ci/docs.txt
	$(BIN)/python -m sphinx -W --keep-going -q -n -b html docs build/site
	@$(BIN)/python .ci/links.py build/site
	@echo "the site is in build/site/index.html"

release: setup
	@test -f build/release/venv/.installed && test build/release/venv/.installed -nt .ci/release.txt || { "$(PYTHON)" -m venv --clear build/release/venv && build/release/venv/bin/python -m pip install --quiet --disable-pip-version-check -r .ci/release.txt && touch build/release/venv/.installed; }
	build/release/venv/bin/python .ci/release.py

coverage: setup
	$(BIN)/python -m coverage run -m pytest -q tests/unit tests/property tests/scenarios
	$(BIN)/python -m coverage report --skip-covered

clean:
	rm -rf $(VENV) .venv-* build dist artifacts .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
