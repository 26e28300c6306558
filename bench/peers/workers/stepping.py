"""Cases for engines with a scheduler: requests go in, each step gives tokens of some of them.

An engine offers add(prompt length, answer length), step() -> the requests that got a token, and
drop_all(). Prompts differ from each other, so that nothing is found in a prefix cache.
"""

import time

# Below so many prompt tokens in all, decoding begins afresh each time, as an empty context is part
# of the case; above, filling it again would take longer than all else, and it grows by the steps.
REFILL_TOKENS = 256


class SteppingEngine:
    """open, prefill, decode and close over add, step and drop_all."""

    def open(self, depth, batch, room):
        self.depth, self.batch, self.room = depth, batch, room
        self.is_filled = False
        if depth * batch > REFILL_TOKENS:
            self.fill()

    def fill(self):
        """All sequences have their prompts and one token, so that each step gives one to each."""
        self.drop_all()
        waiting = {self.add(max(1, self.depth), self.room) for _ in range(self.batch)}
        while waiting:
            waiting -= set(self.step())
        self.is_filled = True

    def prefill(self, tokens):
        """Seconds from a prompt's arrival to its first token."""
        begin = time.perf_counter()
        request = self.add(tokens, 1)
        while request not in self.step():
            pass
        return time.perf_counter() - begin

    def decode(self, steps):
        """Seconds of `steps` tokens for each sequence."""
        if not self.is_filled or self.depth * self.batch <= REFILL_TOKENS:
            self.fill()
        begin, missing = time.perf_counter(), steps * self.batch
        while missing > 0:
            missing -= len(self.step())
        return time.perf_counter() - begin

    def close(self):
        self.drop_all()
        self.is_filled = False
