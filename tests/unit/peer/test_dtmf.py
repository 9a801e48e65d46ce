import asyncio

import aiortc
import pytest

from rtcpeer import RTCPeerConnection
from rtcpeer.peer.dtmf import RTCDTMFSender
from rtcpeer.peer.errors import InvalidCharacterError


class Player:
    def __init__(self):
        self.can_insert_dtmf = True
        self.played = []

    def insert_tone(self, tone, duration_ms):
        self.played.append((tone, duration_ms))


class Later:
    """Takes what would run later, and the delay; `run()` runs the next."""

    def __init__(self, monkeypatch, loop):
        self.due = []
        monkeypatch.setattr(loop, "call_soon", lambda step: self._take(0, step))
        monkeypatch.setattr(loop, "call_later", lambda delay, step: self._take(round(delay * 1000), step))

    def _take(self, delay, step):
        entry = [delay, step]
        self.due.append(entry)
        due = self.due

        class Handle:
            def cancel(self):
                due.remove(entry)

        return Handle()

    def run(self):
        delay, step = self.due.pop(0)
        step()
        return delay


class FakeLoop:
    pass


@pytest.fixture
def setting(monkeypatch):
    loop = FakeLoop()
    loop.call_soon = loop.call_later = None
    later = Later(monkeypatch, loop)
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    player = Player()
    sender = RTCDTMFSender(player)
    tones = []
    sender.ontonechange = lambda event: tones.append((event.tone, sender.toneBuffer))
    return sender, player, later, tones


def run_all(later):
    delays = []
    while later.due:
        delays.append(later.run())
    return delays


def test_tones_in_time(setting):
    sender, player, later, tones = setting
    sender.insertDTMF("12d")
    assert sender.toneBuffer == "12D"
    assert tones == []
    assert run_all(later) == [0, 170, 170, 170]
    assert tones == [("1", "2D"), ("2", "D"), ("D", ""), ("", "")]
    assert player.played == [("1", 100), ("2", 100), ("D", 100)]


@pytest.mark.parametrize(
    ("duration", "gap", "wait"), [(10, 10, 70), (8000, 70, 6070), (100, 9000, 6100), (40, 30, 70)]
)
def test_clamped(setting, duration, gap, wait):
    sender, _, later, _ = setting
    sender.insertDTMF("A", duration, gap)
    assert run_all(later) == [0, wait]


def test_comma_waits_two_seconds_and_plays_nothing(setting):
    sender, player, later, tones = setting
    sender.insertDTMF("A,B")
    assert run_all(later) == [0, 170, 2000, 170]
    assert [t for t, _ in tones] == ["A", ",", "B", ""]
    assert [t for t, _ in player.played] == ["A", "B"]


def test_empty_does_nothing_or_cancels(setting):
    sender, _player, later, tones = setting
    sender.insertDTMF("")
    assert later.due == []
    sender.insertDTMF("12")
    later.run()
    sender.insertDTMF("")
    assert run_all(later) == [170]
    assert [t for t, _ in tones] == ["1", ""]


def test_replaced_while_playing(setting):
    sender, player, later, _tones = setting
    sender.insertDTMF("12")
    later.run()
    sender.insertDTMF(sender.toneBuffer + "34", 200)
    assert len(later.due) == 1
    run_all(later)
    assert player.played == [("1", 100), ("2", 200), ("3", 200), ("4", 200)]


def test_stops_silently_when_it_cannot_go_on(setting):
    sender, player, later, tones = setting
    sender.insertDTMF("12")
    later.run()
    player.can_insert_dtmf = False
    assert not sender.canInsertDTMF
    run_all(later)
    assert [t for t, _ in tones] == ["1"]
    with pytest.raises(aiortc.InvalidStateError):
        sender.insertDTMF("1")


def test_stop(setting):
    sender, player, later, tones = setting
    sender.insertDTMF("12")
    later.run()
    player.on_stop()
    player.on_stop()
    assert later.due == []
    assert len(tones) == 1


def test_bad_arguments_change_nothing(setting):
    sender, _, later, _ = setting
    sender.insertDTMF("12")
    for bad in ("123FFABC", "E", "# *", "\u0131"):
        with pytest.raises(InvalidCharacterError):
            sender.insertDTMF(bad)
    for arguments in ((5,), ("1", "x"), ("1", -1), ("1", 100, None)):
        with pytest.raises(TypeError):
            sender.insertDTMF(*arguments)
    assert sender.toneBuffer == "12"
    assert len(later.due) == 1
    assert repr(sender) == "<RTCDTMFSender '12'>"


def test_illegal_constructor():
    for arguments in ((), (object(),)):
        with pytest.raises(TypeError, match="Illegal constructor"):
            RTCDTMFSender(*arguments)


async def test_ends_with_its_connection():
    async with RTCPeerConnection() as pc:
        dtmf = pc.addTransceiver("audio").sender.dtmf
        tones = dtmf.events("tonechange")
    assert [tone async for tone in tones] == []
