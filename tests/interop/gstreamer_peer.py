"""GStreamer's webrtcbin in a process of its own, for the Python that has Debian's ``gi``; see remote.py for the lines.

One thread carries out the commands, in order; what webrtcbin tells comes from its own threads.
"""

import hashlib
import json
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstApp, GstSdp, GstWebRTC  # noqa: E402, F401

PICTURE = "video/x-raw,format=I420,width=320,height=240,framerate=15/1"
ENCODERS = {
    "audio/opus": (
        "audiotestsrc is-live=true volume=0.3 ! audio/x-raw,rate=48000,channels=2 ! opusenc",
        "rtpopuspay",
    ),
    "audio/PCMU": (
        "audiotestsrc is-live=true volume=0.3 ! audio/x-raw,rate=8000,channels=1 ! mulawenc",
        "rtppcmupay",
    ),
    "video/VP8": (
        f"videotestsrc is-live=true ! {PICTURE} ! vp8enc deadline=1 keyframe-max-dist=600",
        "rtpvp8pay",
    ),
    "video/VP9": (
        f"videotestsrc is-live=true ! {PICTURE} ! vp9enc deadline=1 cpu-used=8 keyframe-max-dist=600",
        "rtpvp9pay",
    ),
    "video/H264": (
        f"videotestsrc is-live=true ! {PICTURE} ! openh264enc gop-size=600 complexity=low"
        " ! video/x-h264,profile=constrained-baseline",
        "rtph264pay config-interval=-1",
    ),
}
PAYLOAD_TYPES = {"audio/opus": 111, "audio/PCMU": 0, "video/VP8": 96, "video/VP9": 98, "video/H264": 102}
CLOCK_RATES = {"audio/opus": 48000, "audio/PCMU": 8000}
SINKS = {
    "video": "queue ! videoconvert ! videoscale ! video/x-raw,format=GRAY8,width=32,height=24"
    " ! appsink name=sink sync=false",
    "audio": "queue ! audioconvert ! audioresample ! audio/x-raw,format=S16LE ! appsink name=sink sync=false",
}

_printing = threading.Lock()


def tell(message):
    with _printing:
        print(json.dumps(message), flush=True)


def payload_type(sdp, index, codec):
    """The number that a section of the other side's description has for a codec; of H.264, constrained baseline."""
    name = codec.partition("/")[2].lower()
    media = sdp.get_media(index)
    attributes = [media.get_attribute(place) for place in range(media.attributes_len())]
    parameters = {}
    for attribute in attributes:
        if attribute.key == "fmtp":
            number, _, parameters[number] = attribute.value.partition(" ")
    for attribute in attributes:
        if attribute.key == "rtpmap":
            number, _, form = attribute.value.partition(" ")
            profile = parameters.get(number, "")
            if form.lower().startswith(name + "/") and (name != "h264" or "profile-level-id=42e0" in profile):
                return int(number)
    return None


class Peer:
    def __init__(self):
        self.pipeline = Gst.Pipeline.new("peer")
        self.channels = {}
        self.wanted = []
        self.senders = {}
        self.seen = {"video": 0, "audio": 0, "luma": 0.0}
        self.remote_sdp = None
        self.gathered = threading.Event()

    # -- commands ----------------------------------------------------------------------------------

    def do_begin(self, request):
        configuration = request.get("configuration") or {}
        self.bin = Gst.ElementFactory.make("webrtcbin", "bin")
        self.bin.set_property("bundle-policy", request.get("bundle", "max-bundle"))
        self.bin.set_property("latency", 50)
        if configuration.get("iceTransportPolicy") == "relay":
            self.bin.set_property("ice-transport-policy", "relay")
        for server in configuration.get("iceServers", ()):
            urls = server["urls"] if isinstance(server["urls"], list) else [server["urls"]]
            for url in urls:
                scheme, _, rest = url.partition(":")
                if scheme == "stun":
                    self.bin.set_property("stun-server", f"stun://{rest}")
                else:
                    user = f"{server['username']}:{server['credential']}"
                    self.bin.emit("add-turn-server", f"{scheme}://{user}@{rest}")
        self.bin.connect("on-ice-candidate", self.on_candidate)
        self.bin.connect("notify::ice-gathering-state", self.on_gathering)
        self.bin.connect("notify::connection-state", self.on_state)
        self.bin.connect("on-data-channel", lambda _, channel: self.keep(channel, True))
        self.bin.connect("on-new-transceiver", self.on_transceiver)
        self.bin.connect("pad-added", self.on_pad)
        bus = self.pipeline.get_bus()
        bus.enable_sync_message_emission()
        bus.connect("sync-message::error", self.on_error)
        self.pipeline.add(self.bin)
        self.pipeline.set_state(Gst.State.PLAYING)

    def do_channel(self, request):
        options = request.get("options") or {}
        names = {"maxRetransmits": "max-retransmits", "maxPacketLifeTime": "max-packet-lifetime"}
        structure = Gst.Structure.new_empty("options")
        for name, value in options.items():
            structure.set_value(names.get(name, name), value)
        channel = self.bin.emit("create-data-channel", request["label"], structure)
        if channel is None:
            raise RuntimeError("webrtcbin made no channel")
        self.keep(channel, False)

    def do_media(self, request):
        self.wanted.append((request["kind"], request["codec"]))

    def do_remove(self, request):
        _, transceiver = self.senders[request["kind"]]
        direction = transceiver.get_property("direction")
        kinds = GstWebRTC.WebRTCRTPTransceiverDirection
        receives = direction in (kinds.SENDRECV, kinds.RECVONLY)
        transceiver.set_property("direction", kinds.RECVONLY if receives else kinds.INACTIVE)

    def do_offer(self, request):
        for kind, codec in self.take_wanted():
            self.send_media(kind, codec, PAYLOAD_TYPES[codec], None)
        return self.describe("create-offer", "offer")

    def do_answer(self, _):
        for kind, codec in self.take_wanted():
            index = next(
                i
                for i in range(self.remote_sdp.medias_len())
                if self.remote_sdp.get_media(i).get_media() == kind
                and i not in [place for place, _ in self.senders.values()]
            )
            self.send_media(kind, codec, payload_type(self.remote_sdp, index, codec), index)
        return self.describe("create-answer", "answer")

    def do_remote(self, request):
        description = request["description"]
        _, sdp = GstSdp.sdp_message_new_from_text(description["sdp"])
        kind = (
            GstWebRTC.WebRTCSDPType.OFFER
            if description["type"] == "offer"
            else GstWebRTC.WebRTCSDPType.ANSWER
        )
        whole = GstWebRTC.WebRTCSessionDescription.new(kind, sdp)
        self.remote_sdp = GstSdp.sdp_message_new_from_text(description["sdp"])[1]
        self.ask("set-remote-description", whole)

    def do_gathered(self, _):
        if not self.gathered.wait(20):
            raise RuntimeError("webrtcbin does not end gathering")
        description = self.bin.get_property("local-description")
        kind = "offer" if description.type == GstWebRTC.WebRTCSDPType.OFFER else "answer"
        return {"type": kind, "sdp": description.sdp.as_text()}

    def do_candidate(self, request):
        candidate = request["candidate"]
        if candidate and candidate["candidate"]:
            self.bin.emit("add-ice-candidate", candidate["sdpMLineIndex"] or 0, candidate["candidate"])

    def do_send(self, request):
        data = request.get("text", "x" * request.get("size", 0))
        self.send(self.channels[request["label"]], data.encode() if request.get("binary") else data)

    def do_close_channel(self, request):
        self.channels[request["label"]].emit("close")

    def do_seen(self, _):
        return self.seen

    def do_stats(self, _):
        found = {}

        def take(_, value):
            found[len(found)] = value.to_string()
            return True

        self.ask("get-stats", None).foreach(take)
        return list(found.values())

    def do_close(self, _):
        self.pipeline.set_state(Gst.State.NULL)

    # -- parts -------------------------------------------------------------------------------------

    def take_wanted(self):
        wanted, self.wanted = self.wanted, []
        return wanted

    def ask(self, action, *arguments):
        promise = Gst.Promise.new()
        self.bin.emit(action, *arguments, promise)
        promise.wait()
        reply = promise.get_reply()
        if reply is not None and reply.has_field("error"):
            raise RuntimeError(f"{action}: {reply.get_value('error')}")
        return reply

    def describe(self, action, name):
        self.gathered.clear()
        reply = self.ask(action, None)  # what it holds lives as long as it does
        description = reply.get_value(name)
        text = description.sdp.as_text()
        self.ask("set-local-description", description)
        return {"type": name, "sdp": text}

    def send_media(self, kind, codec, number, index):
        if number is None:
            raise RuntimeError(f"the other side does not offer {codec}")
        source, payloader = ENCODERS[codec]
        name = codec.partition("/")[2].upper()
        rate = CLOCK_RATES.get(codec, 90000)
        caps = f"application/x-rtp,media={kind},encoding-name={name},clock-rate={rate},payload={number}"
        part = Gst.parse_bin_from_description(
            f'{source} ! queue ! {payloader} pt={number} ! capsfilter caps="{caps}"', True
        )
        self.pipeline.add(part)
        self.answer_sending(index)
        template = self.bin.get_pad_template("sink_%u")
        wish = None if index is None else f"sink_{index}"
        pad = self.bin.request_pad(template, wish, Gst.Caps.from_string(caps))
        if pad is None:
            raise RuntimeError(f"webrtcbin gives no pad {wish}")
        part.get_static_pad("src").link(pad)
        part.sync_state_with_parent()
        transceiver = pad.get_property("transceiver")
        self.senders[kind] = (index, transceiver)

    def answer_sending(self, index):
        """webrtcbin 1.26 makes the transceiver with the offer, only to receive, and gives no pad to such a one."""
        number = 0
        while (transceiver := self.bin.emit("get-transceiver", number)) is not None:
            if index is not None and transceiver.get_property("mlineindex") == index:
                transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDRECV)
            number += 1

    def keep(self, channel, theirs):
        label = channel.get_property("label")
        self.channels[label] = channel
        channel.connect("on-open", lambda _: self.tell_open(channel, theirs))
        channel.connect("on-close", lambda _: tell({"event": "closed", "label": label}))
        channel.connect(
            "on-error", lambda *_: tell({"event": "closed", "label": label})
        )  # the association ended
        channel.connect("on-message-string", lambda _, text: self.on_message(channel, text))
        channel.connect("on-message-data", lambda _, data: self.on_message(channel, data))
        if channel.get_property("ready-state") == GstWebRTC.WebRTCDataChannelState.OPEN:
            self.tell_open(channel, theirs)

    def tell_open(self, channel, theirs):
        def number(name):
            value = channel.get_property(name)
            return None if value < 0 else value

        tell(
            {
                "event": "open",
                "label": channel.get_property("label"),
                "theirs": theirs,
                "protocol": channel.get_property("protocol") or "",
                "ordered": channel.get_property("ordered"),
                "maxRetransmits": number("max-retransmits"),
                "maxPacketLifeTime": number("max-packet-lifetime"),
                "id": channel.get_property("id"),
            }
        )

    def on_message(self, channel, data):
        label = channel.get_property("label")
        binary = not isinstance(data, str)
        body = (data.get_data() or b"" if data is not None else b"") if binary else data.encode()
        message = {
            "event": "message",
            "label": label,
            "binary": binary,
            "size": len(body),
            "digest": hashlib.sha256(body).hexdigest()[:16],
        }
        if not binary and len(body) <= 64:
            message["text"] = data
        tell(message)
        if label.startswith("echo"):
            self.send(channel, body if binary else data)

    def send(self, channel, data):
        if isinstance(data, str):
            channel.emit("send-string", data)
        else:
            channel.emit("send-data", GLib.Bytes.new(data) if data else None)

    def on_candidate(self, _, index, text):
        tell(
            {
                "event": "candidate",
                "candidate": {"candidate": text.removeprefix("a="), "sdpMLineIndex": index},
            }
        )

    def on_gathering(self, element, _):
        if element.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            self.gathered.set()
            tell({"event": "candidate", "candidate": None})

    def on_state(self, element, _):
        tell({"event": "state", "state": element.get_property("connection-state").value_nick})

    def on_transceiver(self, _, transceiver):
        # of sound too, its numbers for retransmission would collide with those of the picture
        if transceiver.get_property("kind") == GstWebRTC.WebRTCKind.VIDEO:
            transceiver.set_property("do-nack", True)

    def on_error(self, _, message):
        error, _ = message.parse_error()
        tell({"event": "error", "text": error.message})

    def on_pad(self, _, pad):
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        kind = pad.get_property("transceiver").get_property("kind").value_nick
        tell({"event": "track", "kind": kind})
        decoder = Gst.ElementFactory.make("decodebin", None)
        decoder.connect("pad-added", lambda _, decoded: self.watch(kind, decoded))
        self.pipeline.add(decoder)
        decoder.sync_state_with_parent()
        pad.link(decoder.get_static_pad("sink"))

    def watch(self, kind, pad):
        part = Gst.parse_bin_from_description(SINKS[kind], True)
        sink = part.get_by_name("sink")
        sink.set_property("emit-signals", True)
        sink.connect("new-sample", self.on_sample, kind)
        self.pipeline.add(part)
        part.sync_state_with_parent()
        pad.link(part.get_static_pad("sink"))

    def on_sample(self, sink, kind):
        sample = sink.emit("pull-sample")
        self.seen[kind] += 1
        if kind == "video":
            buffer = sample.get_buffer()
            data = buffer.extract_dup(0, buffer.get_size())
            self.seen["luma"] = sum(data) / len(data)
        return Gst.FlowReturn.OK


def main():
    Gst.init(None)
    peer = Peer()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            result = getattr(peer, "do_" + request["do"].replace("-", "_"))(request)
            tell({"id": request["id"], "result": result})
        except Exception as error:
            tell({"id": request["id"], "error": f"{type(error).__name__}: {error}"})
    peer.pipeline.set_state(Gst.State.NULL)


if __name__ == "__main__":
    main()
