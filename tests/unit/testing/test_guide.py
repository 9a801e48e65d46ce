"""The guide's snippets are run as they stand."""

import importlib.metadata
import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

GUIDE = Path(__file__).parents[3] / "docs" / "testing.md"


@pytest.mark.timeout(60)
def test_every_snippet_runs(pytester):
    snippets = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    tests = sum(snippet.count("def test_") for snippet in snippets)
    assert tests >= 8
    pytester.makepyfile(**{f"test_snippet_{n}": snippet for n, snippet in enumerate(snippets)})
    # a project without a mode of asyncio; what pytest-asyncio says of that itself is not the guide's
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n")
    installed = importlib.metadata.entry_points(group="pytest11", name="rtcpeer")
    options = [] if installed else ["-p", "rtcpeer.testing.plugin"]
    result = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", "--durations=0", *options)
    result.assert_outcomes(passed=tests)
    durations = [float(line.partition("s")[0]) for line in result.outlines if re.match(r"\d+\.\d+s ", line)]
    assert durations
    # minutes of virtual time take none of real time; a busy machine takes its own
    assert max(durations) < 15
