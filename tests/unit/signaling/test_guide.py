"""The guide to signaling tells the truth: every Python block of it runs."""

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[3] / "docs" / "signaling.md"
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
SAID = ["connected\n", "bob {'camera': True}\n", "320 x 240\n", "you said: hello\n"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(BLOCKS[number], f"{GUIDE.name}, block {number + 1}", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == SAID[number]


def test_every_name_it_mentions_is_there() -> None:
    import rtcpeer.signaling

    text = GUIDE.read_text(encoding="utf-8")
    for name in (
        "memory_pair",
        "RoomServer",
        "RedisBackend",
        "WhipClient",
        "WhepServer",
        "HttpOfferServer",
        "HttpSdpClient",
    ):
        assert f"`{name}" in text
        assert hasattr(rtcpeer.signaling, name)
    for name in rtcpeer.signaling.__all__:
        assert getattr(rtcpeer.signaling, name) is not None
