"""What holds for all suites: which examples Hypothesis tries, and that no test leaves real-time threads behind.

By default always the same ones, without a limit of time: what passed yesterday passes today, on a slow machine
too, and a new counterexample never stops work that has nothing to do with it. ``HYPOTHESIS_PROFILE=explore``
(`make explore`) looks for new ones; what it finds becomes an ``@example`` or a test.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

from tests import scheduling_guard

_OPTIONAL_CODECS = {"AV1", "H265", "VP9"}
_UNHURRIED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("fixed", derandomize=True, database=None, **_UNHURRIED)
settings.register_profile("explore", print_blob=True, **_UNHURRIED)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


@pytest.fixture(scope="session")
def compiled_helper(tmp_path_factory):
    """The optional helper of forwarding; where there is no compiler, who asks for it is skipped."""
    from rtcpeer.rtp import build_helper, fan_out

    if not build_helper.compiler():
        pytest.skip("there is no C compiler for the helper of forwarding")
    file = tmp_path_factory.mktemp("helper") / fan_out.FILE.name
    build_helper.build(file)
    return fan_out.open_helper(file)


@pytest.fixture(params=["python", "helper"])
def fan_out_way(request, monkeypatch):
    """Forwarding without its helper and with it: the same has to hold."""
    from rtcpeer.rtp import fan_out

    helper = request.getfixturevalue("compiled_helper") if request.param == "helper" else None
    monkeypatch.setattr(fan_out, "_helper", helper)
    return request.param


def pytest_configure(config):
    """Watch the scheduling policies of all threads."""
    config.pluginmanager.register(scheduling_guard.SchedulingGuard(), "scheduling-guard")


def pytest_collection_modifyitems(items):
    """Skip the cases of video codecs that the installed PyAV has no encoder for, of whatever suite."""
    for item in items:
        parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
        for name in {
            getattr(one, "name", one) for one in parameters if _names_a_codec(one)
        } & _OPTIONAL_CODECS:
            from rtcpeer.media.video import choice

            if not choice.can_encode(name):
                item.add_marker(
                    pytest.mark.skip(reason=f"libav has no encoder of {name} here that can be used")
                )


def _names_a_codec(parameter):
    return isinstance(parameter, str) or type(parameter).__name__ == "Codec"
