"""What presses on a server: clients that do not read or hardly write, processors that are busy."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time


def stalled_stream(port, body):
    """A connection that asks for a stream and never reads it; its own buffer is small."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(60)
    connection.connect(("127.0.0.1", port))
    data = json.dumps({**body, "stream": True}).encode()
    connection.sendall(
        b"POST /v1/completions HTTP/1.1\r\nHost: stalled\r\nContent-Type: application/json\r\n"
        + f"Content-Length: {len(data)}\r\n\r\n".encode()
        + data
    )
    return connection


def is_cut_off(connection):
    """Reads what is left; whether the answer breaks off before its end."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while more := connection.recv(1 << 20):
            data = data[-16:] + more
    return not data.endswith(b"0\r\n\r\n")


class Trickle:
    """Connections that send a request a byte at a time, all in turn, until it is told to stop."""

    HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: slow\r\nX-Filler: "
    BODY = b'POST /v1/completions HTTP/1.1\r\nHost: slow\r\nContent-Length: 100000\r\n\r\n{"a":"'

    def __init__(self, port, in_headers, in_bodies, pause_s=0.2):
        self.connections = []
        for start in [self.HEAD] * in_headers + [self.BODY] * in_bodies:
            connection = socket.create_connection(("127.0.0.1", port), timeout=60)
            connection.sendall(start)
            self.connections.append(connection)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._send, args=(pause_s,))
        self._thread.start()

    def _send(self, pause_s):
        while not self._over.wait(pause_s):
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.send(b"x")

    def stop(self):
        self._over.set()
        self._thread.join()
        for connection in self.connections:
            connection.close()


@contextlib.contextmanager
def busy_processors(count):
    """So many processes that compute without an end, at ordinary priority."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def renice(process_id, niceness):
    """All threads of a process get another priority."""
    for thread in pathlib.Path(f"/proc/{process_id}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.setpriority(os.PRIO_PROCESS, int(thread.name), niceness)


class Companion:
    """A client that asks the same again and again; `wrong`: answers unlike the one it has alone."""

    def __init__(self, server, body):
        self.server = server
        self.body = body
        self.expected = self.ask()
        self.answered = 0
        self.wrong = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def ask(self):
        answer = self.server.post("/v1/completions", self.body)
        if answer.status_code != 200:
            raise RuntimeError(f"status {answer.status_code}: {answer.text}")
        return answer.json()["choices"]

    def _run(self):
        while not self._over.is_set():
            try:
                if self.ask() != self.expected:
                    self.wrong.append("other bits than alone")
            except Exception as trouble:  # any trouble is what is looked for
                self.wrong.append(repr(trouble))
            self.answered += 1

    def wait_for(self, count, timeout_s=120):
        """Waits for so many more answers; AssertionError when they do not come."""
        wanted = self.answered + count
        deadline = time.monotonic() + timeout_s
        while self.answered < wanted:
            assert time.monotonic() < deadline, f"{self.answered} of {wanted} answers"
            time.sleep(0.01)

    def stop(self):
        self._over.set()
        self._thread.join()
