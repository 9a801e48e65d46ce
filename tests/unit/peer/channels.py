"""A transport's channel and a connection, as far as a channel core can tell."""

from rtcpeer.peer.data_channel import DataChannelCore, RTCDataChannel, read_data_channel_init
from rtcpeer.values import DataChannelState


class FakeChannel:
    def __init__(self, parameters, listener=None):
        self.parameters = parameters
        self.id = parameters.id
        self.buffered_amount = 0
        self.buffered_amount_low_threshold = 0
        self.listener = listener
        self.state = DataChannelState.OPEN
        self.sent = []
        self.closed = 0

    def send(self, data):
        self.sent.append(data)
        self.buffered_amount += len(data.encode() if isinstance(data, str) else data)

    def close(self):
        self.closed += 1

    def stats(self):
        return {"messagesSent": len(self.sent)}

    def drain_to(self, amount):
        """SCTP took what was above `amount`."""
        before, self.buffered_amount = self.buffered_amount, amount
        if amount <= self.buffered_amount_low_threshold < before:
            self.listener.on_buffered_amount_low()


class FakeOwner:
    max_message_size = 2000

    def __init__(self):
        self.calls = []

    def on_channel_open(self, core):
        self.calls.append("open")

    def on_channel_left(self, core):
        self.calls.append("left")

    def on_channel_closed(self, core):
        self.calls.append("closed")


def local_channel(label="x", **init):
    owner = FakeOwner()
    core = DataChannelCore.opening(FakeChannel, read_data_channel_init(label, init), owner, RTCDataChannel)
    return core, core.channel, owner


def open_channel(label="x", **init):
    core, channel, owner = local_channel(label, **init)
    core.on_open()
    owner.calls.clear()
    return core, channel, owner


def record(face):
    """The types of all events at a channel, with its state at that time."""
    seen = []
    for kind in ("open", "message", "bufferedamountlow", "error", "closing", "close"):
        face.addEventListener(kind, lambda event: seen.append((event.type, face.readyState.value)))
    return seen
