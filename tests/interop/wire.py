"""Wires between network namespaces, with delay, loss and outage: what netem would do, for kernels without it.

Runs as a process of its own inside the namespace that holds both ends of each wire. Standard input: one JSON object a
line: ``{"name": "alice", "ends": ["w0a", "w0b"]}`` makes a wire, ``{"name": "alice", "delay": 0.015, "loss": 0.05,
"down": true}`` changes it. Each line is answered with ``ok``.
"""

import heapq
import itertools
import json
import random
import select
import socket
import sys
import time

ETH_P_ALL = 3
PACKET_OUTGOING = 4


class Wire:
    def __init__(self, ends, poll):
        self.delay, self.loss, self.down = 0.0, 0.0, False
        self.sockets = []
        for end in ends:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            sock.bind((end, 0))
            sock.setblocking(False)
            self.sockets.append(sock)
            poll.register(sock, select.POLLIN)

    def other(self, sock):
        return self.sockets[1 - self.sockets.index(sock)]


def main():
    chance = random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 0).random
    poll, order, queue = select.poll(), itertools.count(), []
    wires, by_descriptor = {}, {}
    poll.register(sys.stdin, select.POLLIN)
    while True:
        timeout = max(0.0, queue[0][0] - time.monotonic()) * 1000 if queue else None
        # poll knows whole milliseconds: wait for all but the last, then spin
        events = poll.poll(None if timeout is None else int(timeout))
        now = time.monotonic()
        for descriptor, _ in events:
            if descriptor == sys.stdin.fileno():
                line = sys.stdin.readline()
                if not line:
                    return
                change = json.loads(line)
                name, ends = change.pop("name"), change.pop("ends", None)
                if ends:
                    wires[name] = Wire(ends, poll)
                    by_descriptor.update((s.fileno(), (wires[name], s)) for s in wires[name].sockets)
                for key, value in change.items():
                    setattr(wires[name], key, value)
                print("ok", flush=True)
                continue
            wire, sock = by_descriptor[descriptor]
            for _ in range(64):
                try:
                    frame, address = sock.recvfrom(65536)
                except (BlockingIOError, OSError):
                    break
                if address[2] == PACKET_OUTGOING or wire.down or (wire.loss and chance() < wire.loss):
                    continue
                heapq.heappush(queue, (now + wire.delay, next(order), wire.other(sock), frame))
        while queue and queue[0][0] <= now:
            _, _, sock, frame = heapq.heappop(queue)
            try:
                sock.send(frame)
            except OSError:
                continue  # an interface that is down loses what is sent


if __name__ == "__main__":
    main()
