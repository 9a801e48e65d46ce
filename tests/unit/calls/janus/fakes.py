"""A Janus that answers as a VideoRoom would, what it says, and a handle without one."""

import asyncio
import json

from aiohttp import WSMsgType, web


class FakeJanus:
    """Answers as a VideoRoom would; `change(step, answer)` may say something else, or raise to end the socket."""

    def __init__(self, change=lambda step, answer: [answer]):
        self.change = change
        self.steps = []
        self.asked = []  # the bodies of messages
        self.sockets = []
        self.numbers = 0

    async def serve(self, request):
        socket = web.WebSocketResponse(protocols=("janus-protocol",))
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            if message.type != WSMsgType.TEXT:
                break
            asked = json.loads(message.data)
            step = asked["body"]["request"] if asked["janus"] == "message" else asked["janus"]
            self.steps.append(step)
            self.asked.append(asked.get("body", {}))
            try:
                for answer in self.change(step, self.answer(step, asked)):
                    await socket.send_str(answer if isinstance(answer, str) else json.dumps(answer))
            except ConnectionError:
                break
        await socket.close()
        return socket

    async def wait_for(self, *steps):
        """Until it was asked these things, among others, in this order; the body of the last one."""
        async with asyncio.timeout(20):
            while True:
                found = 0
                for step, body in zip(self.steps, self.asked, strict=True):
                    found += found < len(steps) and step == steps[found]
                    if found == len(steps):
                        return body
                await asyncio.sleep(0.01)

    def answer(self, step, asked):
        self.numbers += 1
        about = {"transaction": asked["transaction"], "session_id": 1, "sender": asked.get("handle_id")}
        if step in ("create", "attach"):
            return {"janus": "success", "data": {"id": self.numbers}, **about}
        data = {"videoroom": "event"}
        if step == "join":
            data = {"videoroom": "joined", "id": 77, "private_id": 5, "publishers": []}
        kind = (
            "event" if asked["janus"] == "message" else "success" if step in ("claim", "destroy") else "ack"
        )
        return {"janus": kind, "plugindata": {"data": data}, **about}

    def tell(self, data, **members):
        return self.sockets[-1].send_str(
            json.dumps({"janus": "event", "sender": 2, "plugindata": {"data": data}, **members})
        )


def publishing(id, *mids):
    return {"id": id, "streams": [{"type": "audio", "mid": mid} for mid in mids or ("0",)]}


def refusal(answer, feed):
    return {**answer, "plugindata": {"data": {"error_code": 428, "error": f"No such feed ({feed})"}}}


def listing(answer, *feeds):
    """An answer that lists what is subscribed to."""
    streams = [{"mid": str(n), "active": True, "feed_id": f, "feed_mid": "0"} for n, f in enumerate(feeds)]
    return {**answer, "plugindata": {"data": {"videoroom": "updated", "streams": streams}}}


def sdp(session, version=0):
    return f"v=0\r\no=- {session} {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"


class FakeHandle:
    def __init__(self, *answers):
        self.id, self.is_gone, self.asked, self.answers = 1, False, [], list(answers)
        self.told = []

    async def hang_up(self):
        self.asked.append(("hangup", None))

    async def ask(self, body, jsep=None):
        self.asked.append((body["request"], jsep and jsep["type"]))
        answer = self.answers.pop(0) if self.answers else ({}, None)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def trickle(self, candidates):
        self.told.append(candidates)

    async def detach(self):
        self.is_gone = True
