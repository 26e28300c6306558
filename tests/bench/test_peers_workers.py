"""The conversation with peers, and the cases of engines that step."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from bench.peers import contenders
from bench.peers.cases import Case
from bench.peers.contenders import WORKERS, Failed, Peer, Worker
from conftest import ROOT
from protocol import prompt_tokens
from stepping import SteppingEngine

FAKE = pathlib.Path(__file__).with_name("fake_worker.py")


@pytest.fixture
def start(tmp_path):
    workers = []

    def make(mode):
        environment = {"PYTHONPATH": str(WORKERS)}
        worker = Worker([sys.executable, FAKE, mode], environment, tmp_path / "worker.log")
        workers.append(worker)
        return worker

    yield make
    for worker in workers:
        worker.stop()


def state_of(process_id):
    """The letter of ps; "gone" when there is no such process."""
    try:
        text = pathlib.Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return "gone"
    return text.rpartition(")")[2].split()[0]


def comes_to(process_id, *states):
    deadline = time.monotonic() + 20
    while state_of(process_id) not in states and time.monotonic() < deadline:
        time.sleep(0.01)
    return state_of(process_id) in states


def test_rates_count_the_tokens_of_all_sequences(start):
    peer = Peer("fake", start("ok"))
    decode = Case("decode", 10, depth=4, batch=3)
    peer.open(decode, rounds=2)
    assert peer.sample(decode)["value"] == pytest.approx(10 * 3 / 0.1)
    assert peer.sample(Case("prefill", 500))["value"] == pytest.approx(500 / 0.5)


def test_what_an_engine_prints_does_not_reach_the_conversation(start):
    assert start("noisy").ask(op="prefill", tokens=100) == {"seconds": 0.1}


def test_a_worker_and_its_children_stand_still_between_their_turns(start):
    worker = start("child")
    child = int(worker.version)
    assert comes_to(worker.process.pid, "T")
    assert comes_to(child, "T")
    worker.stop()
    assert comes_to(child, "Z", "gone")


def test_an_engine_that_cannot_load_says_why(tmp_path):
    environment = {"PYTHONPATH": str(WORKERS)}
    with pytest.raises(Failed, match="no such model"):
        Worker([sys.executable, FAKE, "broken"], environment, tmp_path / "worker.log")


def test_a_refused_case_leaves_the_worker_usable(start):
    worker = start("ok")
    with pytest.raises(Failed, match="room 2000 is over 1000"):
        worker.ask(op="open", depth=0, batch=1, room=2000)
    assert worker.ask(op="decode", steps=5) == {"seconds": 0.05}


def test_an_operation_that_does_not_exist_is_refused(start):
    with pytest.raises(Failed, match="unknown operation"):
        start("ok").ask(op="__init__")


def test_a_worker_that_dies_fails_its_case_and_every_later_one(start):
    worker = start("dies")
    for _ in range(2):
        with pytest.raises(Failed):
            worker.ask(op="prefill", tokens=1)


def test_a_worker_that_does_not_answer_is_given_up(start, monkeypatch):
    worker = start("silent")
    monkeypatch.setattr(contenders, "ANSWER_SECONDS", 0.2)
    with pytest.raises(Failed, match="no answer"):
        worker.ask(op="decode", steps=1)
    monkeypatch.setattr(contenders, "STOP_SECONDS", 0.2)
    worker.stop()
    assert worker.process.returncode == -signal.SIGKILL


def test_a_worker_that_was_killed_can_still_be_stopped(start):
    worker = start("ok")
    os.killpg(worker.process.pid, signal.SIGKILL)
    worker.stop()
    assert worker.process.returncode == -signal.SIGKILL


def test_a_stopped_worker_ends_when_its_driver_is_killed(tmp_path):
    code = (f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
            "from bench.peers.contenders import Worker; import pathlib, time\n"
            f"worker = Worker([sys.executable, {str(FAKE)!r}, 'ok'], "
            f"{{'PYTHONPATH': {str(WORKERS)!r}}}, pathlib.Path({str(tmp_path / 'log')!r}))\n"
            "print(worker.process.pid, flush=True); time.sleep(60)\n")
    driver = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    worker = int(driver.stdout.readline())
    assert comes_to(worker, "T")
    driver.kill()
    driver.wait()
    driver.stdout.close()
    assert comes_to(worker, "Z", "gone")


class CountingEngine(SteppingEngine):
    """Prefills `chunk` prompt tokens a step, in order; then one token each to all that run."""

    def __init__(self, chunk):
        self.chunk, self.missing, self.steps, self.fills = chunk, {}, 0, 0
        self.next_id = 0

    def add(self, prompt, answer):
        self.next_id += 1
        self.missing[self.next_id] = prompt
        return self.next_id

    def drop_all(self):
        self.missing.clear()
        self.fills += 1

    def step(self):
        self.steps += 1
        left, got = self.chunk, []
        for request, missing in self.missing.items():
            part = min(missing, left)
            self.missing[request] -= part
            left -= part
            if self.missing[request] == 0:
                got.append(request)
        return got


def test_decoding_is_timed_only_when_all_sequences_decode():
    engine = CountingEngine(chunk=100)
    engine.open(depth=50, batch=8, room=64)
    assert engine.steps == 4
    engine.decode(16)
    assert engine.steps == 4 + 16


def test_a_short_context_is_filled_afresh_each_time_and_a_long_one_kept():
    short, deep = CountingEngine(chunk=512), CountingEngine(chunk=512)
    short.open(depth=0, batch=1, room=64)
    deep.open(depth=8192, batch=1, room=64)
    for _ in range(3):
        short.decode(4)
        deep.decode(4)
    assert (short.fills, deep.fills) == (3, 1)


def test_prefill_ends_with_the_first_token():
    engine = CountingEngine(chunk=128)
    engine.open(depth=0, batch=1, room=8)
    engine.prefill(512)
    assert engine.steps == 4


def test_prompts_stay_in_the_vocabulary_and_differ_by_their_start():
    tokens = prompt_tokens(2000, 1024)
    assert min(tokens) >= 0 and max(tokens) < 512
    assert prompt_tokens(64, 32000, 1) != prompt_tokens(64, 32000, 2)
