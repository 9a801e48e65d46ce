"""What is asynchronous here runs in virtual time: how busy the machine is changes nothing of what a test sees.

As a gift, each of these tests also demands that no task, thread or exception is left.
"""

import inspect

import pytest

# (virtual time waits for jobs of executors, but knows nothing of other threads)
REAL_TIME = {
    "test_against_aiortc": "aiortc decodes in threads of its own",
    "test_a_decoder_that_is_too_slow_skips_to_a_key_frame": "virtual time waits for the decoder's thread",
    "test_nothing_is_left": "threads need real time to end",
    "test_statistics": "in virtual time a round trip takes none",
}


@pytest.fixture(autouse=True)
def in_virtual_time(request):
    names = {request.function.__name__, request.path.stem}
    if inspect.iscoroutinefunction(request.function) and not names & REAL_TIME.keys():
        request.getfixturevalue("virtual_time")
