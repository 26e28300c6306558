"""Streamed completions read side by side by one thread, and the times at which pieces arrived.

A client with a thread for each stream measures its own interpreter: threads wait for each other for
milliseconds, about a step of a small model.
"""

import json
import selectors
import socket
import time

EVENT = b"data: {"
# Tokens of one step of one stream arrive together; no step is as short as this.
STEP_S = 0.001


class Stream:
    """One streamed completion; `arrivals`: when each step's tokens came, `tokens`: how many."""

    def __init__(self, port, prompt, max_tokens, **fields):
        body = {
            "prompt": prompt, "max_tokens": max_tokens, "stream": True, "ignore_eos": True,
            "temperature": 0, **fields,
        }  # fmt: skip
        data = json.dumps(body).encode()
        self.arrivals = []
        self.tokens = 0
        self.is_over = False
        self._tail = b""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=600)
        self.sent = time.monotonic()
        self.socket.sendall(
            b"POST /v1/completions HTTP/1.1\r\nHost: streams\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\n"
            + f"Content-Length: {len(data)}\r\n\r\n".encode()
            + data
        )

    def read(self):
        """Takes what is there; notes the time when it holds events."""
        now = time.monotonic()
        data = self.socket.recv(1 << 16)
        if not data:
            self.is_over = True
            self.socket.close()
            return
        text = self._tail + data
        count = text.count(EVENT)
        self._tail = text[-len(EVENT) + 1 :]
        self.tokens += count
        if count and (not self.arrivals or now - self.arrivals[-1] > STEP_S):
            self.arrivals.append(now)

    def gaps(self, begin=float("-inf"), end=float("inf")):
        """Seconds between its steps, of those that ended between the two times."""
        return [b - a for a, b in zip(self.arrivals, self.arrivals[1:]) if begin <= b <= end]


def read_all(streams, seconds=float("inf"), until=None):
    """Reads until all are over, or the one called `until` is, or for so long."""
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as waiting:
        for stream in streams:
            if not stream.is_over:
                waiting.register(stream.socket, selectors.EVENT_READ, stream)
        while waiting.get_map() and (left := end - time.monotonic()) > 0:
            if until and until.is_over:
                break
            for key, _ in waiting.select(min(left, 600)):
                key.data.read()
                if key.data.is_over:
                    waiting.unregister(key.fileobj)
