"""A worker with an engine that answers at once, to test the conversation: fake_worker.py MODE

Modes: ok; noisy prints to standard output; broken cannot load; dies ends at the first prefill;
silent never answers a decode; child has a process of its own, whose id is its version.
"""

import os
import subprocess
import sys
import time

from protocol import serve


class Fake:
    def __init__(self, mode):
        self.mode, self.version = mode, "fake 1"
        self.opened = None
        if mode == "broken":
            raise RuntimeError("no such model")
        if mode == "child":
            child = subprocess.Popen(["sleep", "60"])
            self.version = str(child.pid)

    def open(self, depth, batch, room):
        if room > 1000:
            raise ValueError(f"room {room} is over 1000")
        self.opened = (depth, batch)

    def prefill(self, tokens):
        if self.mode == "noisy":
            os.write(1, b"to whom it may concern\n")
            print("and more", flush=True)
        if self.mode == "dies":
            os._exit(3)
        return tokens / 1000

    def decode(self, steps):
        if self.mode == "silent":
            time.sleep(60)
        return steps / 100

    def close(self):
        self.opened = None


if __name__ == "__main__":
    serve(lambda: Fake(sys.argv[1]))
