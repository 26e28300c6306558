"""A stand-in for the server's API under the page, with answers by script: for what a real server
does only rarely.

It serves the page's source files with the security policy of src/serve/page.cc, and answers
/v1/models and /v1/chat/completions as `behaviour` says. `requests` holds the chat bodies received.
"""

import http.server
import json
import pathlib
import re
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "src" / "serve" / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


def security_policy():
    """The policy that the program sends, read from its source."""
    source = (ROOT / "src" / "serve" / "page.cc").read_text()
    body = source.split("page_security_policy() {", 1)[1].split("}", 1)[0]
    return "".join(re.findall(r'"([^"]*)"', body))


class Behaviour:
    """What the next answers are like.

    pieces: what each event adds; delay_s: before each; first_delay_s: before the first; finish: the
    reason told; status and error: refuse instead; break_after: close the connection after so many
    pieces, without an end; error_after: send an error event after so many; key: the one that is
    asked for.
    """

    def __init__(self, **changes):
        self.pieces = ["Hello", " there", "."]
        self.delay_s = 0.0
        self.first_delay_s = 0.0
        self.finish = "stop"
        self.status = 200
        self.error = None
        self.break_after = None
        self.error_after = None
        self.key = None
        self.models = [{"id": "fake-model", "object": "model", "max_model_len": 2048}]
        for name, value in changes.items():
            assert hasattr(self, name), name
            setattr(self, name, value)


class FakeServer:
    """Serves on 127.0.0.1 until close(); `gone` counts streams whose reader went away."""

    def __init__(self):
        self.behaviour = Behaviour()
        self.requests = []
        self.gone = 0
        outer = self

        class Handler(_Handler):
            server_state = outer

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        # close() takes up to one poll.
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are written apart: without this each answer waits for a delayed ACK, 40 ms.
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        pass

    def _answer(self, status, body, content_type="application/json", headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _refused(self):
        key = self.server_state.behaviour.key
        if key is None or self.headers.get("Authorization") == f"Bearer {key}":
            return False
        self._answer(401, {"error": "Unauthorized"})
        return True

    def do_GET(self):
        if self.path == "/v1/models":
            if not self._refused():
                self._answer(200, {"object": "list", "data": self.server_state.behaviour.models})
            return
        path = PAGE / ("index.html" if self.path == "/" else self.path[1:])
        if path.suffix not in TYPES or path.parent != PAGE or not path.is_file():
            self._answer(404, {"error": {"message": "not found", "code": 404}})
            return
        self._answer(
            200,
            path.read_bytes(),
            TYPES[path.suffix],
            [("Content-Security-Policy", security_policy())],
        )

    def do_POST(self):
        state = self.server_state
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self._refused():
            return
        body = json.loads(raw)
        state.requests.append(body)
        behaviour = state.behaviour
        if behaviour.status != 200:
            self._answer(
                behaviour.status,
                {"error": behaviour.error},
                headers=[("Retry-After", "2")] if behaviour.status == 429 else [],
            )
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            self._stream(behaviour, body)
        except OSError:
            state.gone += 1
            self.close_connection = True

    def _stream(self, behaviour, body):
        prompt_tokens = sum(len(m["content"].split()) + 3 for m in body["messages"])
        self._event(body, {"role": "assistant", "content": ""}, None, prompt_tokens, 0)
        time.sleep(behaviour.first_delay_s)
        for index, piece in enumerate(behaviour.pieces):
            if index == behaviour.break_after:
                self.connection.shutdown(2)
                raise OSError("broken on purpose")
            if index == behaviour.error_after:
                self._chunk({"error": behaviour.error})
                break
            if index:
                time.sleep(behaviour.delay_s)
            last = index + 1 == len(behaviour.pieces)
            self._event(
                body,
                {"content": piece},
                behaviour.finish if last else None,
                prompt_tokens,
                index + 1,
            )
        self._data(b"data: [DONE]\n\n")
        self._raw(b"0\r\n\r\n")

    def _event(self, body, delta, finish, prompt_tokens, count):
        self._chunk(
            {
                "id": "chatcmpl-fake",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": body.get("model"),
                "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
                "usage": {
                    "prompt_tokens": prompt_tokens,
                    "completion_tokens": count,
                    "total_tokens": prompt_tokens + count,
                },
            }
        )

    def _chunk(self, event):
        self._data(f"data: {json.dumps(event)}\n\n".encode())

    def _data(self, data):
        self._raw(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _raw(self, data):
        self.wfile.write(data)
        self.wfile.flush()
