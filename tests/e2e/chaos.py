"""Random traffic that misbehaves, and the check that nobody else notices.

A catalogue of requests is answered alone first. Then many clients send them in random order: some
hang up in the middle, some have too little time, some ask for several choices. Every answer that
is complete must be, bit for bit, the one given alone; afterwards the server must hold no page.

Some prompts repeat themselves, so that guessed tokens are tried; some answers end early, by a stop
token; some score their prompts, so that nothing of them comes from the cache. Everything follows
from one seed but the moments at which things meet.
"""

import asyncio
import collections
import json
import random

CATALOGUE = 120
VOCABULARY = 250
FATES = (
    ["finish"] * 11 + ["hang up"] * 4 + ["hang up at once"] + ["half a request"] + ["deadline"] * 3
)


def make_catalogue(seed):
    """Requests that differ in everything that may matter; some begin alike."""
    dice = random.Random(seed)
    prefixes = [[dice.randrange(3, VOCABULARY) for _ in range(90)] for _ in range(4)]
    out = []
    for number in range(CATALOGUE):
        prefix = dice.choice(prefixes)[: dice.choice([0, 16, 40, 90])]
        tail = [dice.randrange(3, VOCABULARY) for _ in range(dice.randrange(1, 60))]
        body = {
            "prompt": prefix + tail,
            "max_tokens": dice.choice([1, 4, 12, 30, 60]),
            "temperature": dice.choice([0, 0.7, 1.5]),
            "seed": number,
            "logprobs": dice.choice([0, 2]),
            "return_token_ids": True,
            "ignore_eos": True,
        }
        if number % 5 == 0:
            body.update(n=dice.choice([2, 3]), temperature=0.9)
        if number % 7 == 0:
            body["repetition_penalty"] = 1.3
        add_variety(body, number, dice)
        out.append(body)
    return out


def add_variety(body, number, dice):
    """What some requests of the catalogue have and others have not."""
    if number % 6 == 1:
        body["prompt"] = (body["prompt"][:7] * 20)[:100]
    if number % 9 == 2:
        body["prompt"] = [body["prompt"], body["prompt"][::-1], [7]]
    if number % 8 == 3:
        body["stop_token_ids"] = [dice.randrange(3, VOCABULARY) for _ in range(12)]
        body["min_tokens"] = min(body["max_tokens"], dice.choice([0, 3]))
    if number % 11 == 4:
        body.update(echo=True, logprobs=1)
    if number % 4 == 1:
        body["cache_salt"] = dice.choice(["one", "another"])
    if number % 5 == 3:
        body.update(top_k=dice.choice([5, 40]), top_p=0.9, min_p=dice.choice([0, 0.05]))


class Answer:
    """What one choice says, put together from one piece or many."""

    def __init__(self):
        self.text = ""
        self.tokens = []
        self.logprobs = []
        self.finish = None

    def add(self, choice):
        self.text += choice["text"]
        self.tokens += choice.get("token_ids") or []
        if choice.get("logprobs"):
            self.logprobs += choice["logprobs"]["token_logprobs"]
        self.finish = choice["finish_reason"] or self.finish

    def spelled(self):
        return json.dumps([self.text, self.tokens, self.logprobs, self.finish])


class Gone(Exception):
    """The client hung up, as it meant to."""


async def read_response(reader, hang_up_after):
    """Status and body lines of one HTTP/1.1 answer; raises Gone after so many lines of a stream."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status = int(head.split(" ", 2)[1])
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
    }
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
        return status, headers, [body.decode()]
    text = b""
    while True:
        size = int((await reader.readline()).strip() or b"0", 16)
        text += await reader.readexactly(size)
        await reader.readline()
        if size == 0:
            return status, headers, text.decode().splitlines()
        if hang_up_after is not None and text.count(b"\n\n") > hang_up_after:
            raise Gone


async def post(port, body, hang_up_after=None, sent_share=1.0):
    """Sends a request, or the first part of it, and reads the answer, or the first part of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        data = json.dumps(body).encode()
        data = (
            b"POST /v1/completions HTTP/1.1\r\nHost: chaos\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode()
            + data
        )
        writer.write(data[: int(len(data) * sent_share)])
        if hang_up_after == 0 or sent_share < 1.0:
            await writer.drain()
            raise Gone
        return await read_response(reader, hang_up_after)
    finally:
        writer.close()


def answers_of(lines, is_stream):
    """Answers by choice, and the error object when there is one."""
    answers = collections.defaultdict(Answer)
    if not is_stream:
        body = json.loads(lines[0])
        for choice in body.get("choices", []):
            answers[choice["index"]].add(choice)
        return answers, body.get("error")
    error = None
    for line in lines:
        if line.startswith("data: {"):
            event = json.loads(line[6:])
            error = event.get("error", error)
            for choice in event.get("choices", []):
                answers[choice["index"]].add(choice)
    assert lines[-1] == "data: [DONE]" or lines[-2] == "data: [DONE]", lines[-2:]
    return answers, error


def tiny_pool_flags(info, pages, policy):
    """Flags of a server whose KV cache has `pages` pages; `info` is what `inferno info` says.

    One thread: beside this program and others, two that wait for each other are slower.
    """
    return [
        "--scheduling-policy", policy, "--threads", "1",
        "--max-model-len", "256", "--max-num-seqs", "12", "--max-num-batched-tokens", "96",
        "--kv-cache-memory", str(info["memory"]["kv_bytes_per_token"] * 16 * pages),
    ]  # fmt: skip


class Chaos:
    def __init__(self, port, seed, has_priorities=False):
        self.port = port
        self.seed = seed
        self.has_priorities = has_priorities
        self.catalogue = make_catalogue(seed)
        self.alone = []
        self.counts = collections.Counter()
        self.wrong = []

    async def answer_alone(self):
        for body in self.catalogue:
            status, _, lines = await post(self.port, body)
            assert status == 200, lines
            answers, error = answers_of(lines, is_stream=False)
            assert error is None, error
            self.alone.append({index: answer.spelled() for index, answer in answers.items()})

    async def run(self, requests, clients, patience_s):
        """Sends all requests; one that gets no answer in `patience_s` raises TimeoutError."""
        numbers = iter(range(requests))

        async def client():
            for number in numbers:
                await asyncio.wait_for(self.send(number), patience_s)

        await asyncio.gather(*(client() for _ in range(clients)))

    async def send(self, number):
        dice = random.Random(f"{self.seed} {number}")
        which = dice.randrange(CATALOGUE)
        fate = dice.choice(FATES)
        body = dict(self.catalogue[which], stream=dice.random() < 0.6)
        body["user"] = f"client {dice.randrange(5)}"
        if self.has_priorities:
            body["priority"] = dice.choice([0, 0, 0, -1, 2])
        if dice.random() < 0.7:
            body["service_class"] = dice.choice(["interactive", "standard", "batch"])
        hang_up_after = None
        sent_share = 1.0
        if fate == "hang up":
            body["stream"] = True
            hang_up_after = dice.randrange(1, 12)
        elif fate == "hang up at once":
            hang_up_after = 0
        elif fate == "half a request":
            sent_share = dice.random()
        elif fate == "deadline":
            body["timeout_s"] = dice.choice([0.001, 0.01, 0.05, 0.2])
        try:
            status, headers, lines = await post(self.port, body, hang_up_after, sent_share)
        except Gone:
            self.counts["hung up"] += 1
            return
        self.judge(which, body, fate, (status, headers, lines))

    def judge(self, which, body, fate, response):
        status, headers, lines = response
        is_stream = body["stream"] and status == 200
        answers, error = answers_of(lines, is_stream)
        code = error["code"] if error else status
        if code == 429:
            self.counts["refused"] += 1
            if status == 429 and int(headers["retry-after"]) < 1:
                self.wrong.append(f"{which}: Retry-After {headers['retry-after']}")
        elif code == 504 and fate == "deadline":
            self.counts["expired"] += 1
        elif code != 200:
            self.wrong.append(f"{which} ({fate}): status {status}, {error}")
        elif {i: answer.spelled() for i, answer in answers.items()} != self.alone[which]:
            self.wrong.append(f"{which} ({fate}): not the answer it has alone")
        else:
            self.counts["completed"] += 1
