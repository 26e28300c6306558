"""What a peer's worker and the driver say to each other: one JSON object a line, one answer each.

    {"op": "open", "depth": 0, "batch": 1, "room": 512}   sequences of `depth` tokens; room for more
    {"op": "prefill", "tokens": 512}                      -> {"seconds": 3.1}
    {"op": "decode", "steps": 64}                         -> {"seconds": 1.5}
    {"op": "close"}

The first line of a worker says that it is ready, with the engine's version. An engine that fails
answers {"error": ...}. Engines print what they like to standard output: the conversation has a
descriptor of its own, and standard output goes where standard error goes.
"""

import ctypes
import json
import os
import signal
import sys
import traceback

PR_SET_PDEATHSIG = 1  # linux/prctl.h
VOCABULARY_STEP = 7919  # a prime: prompts that no two engines or cases can share by accident


def prompt_tokens(count, vocabulary, start=17):
    """`count` token ids; any do, as the time does not depend on what they say."""
    usable = max(1, vocabulary - 512)  # the end of a vocabulary holds control tokens
    return [(start + index * VOCABULARY_STEP) % usable for index in range(count)]


def end_with_parent():
    """The kernel kills this process when the driver dies, even while this one is stopped."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def serve(make_engine):
    """Answers until standard input ends. `make_engine()` gives an object with the four methods."""
    end_with_parent()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        engine = make_engine()
    except Exception as error:
        traceback.print_exc()
        answers.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")
        return
    answers.write(json.dumps({"ready": True, "version": engine.version}) + "\n")
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = answer_to(engine, request)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")


def answer_to(engine, request):
    arguments = {key: value for key, value in request.items() if key != "op"}
    if request["op"] not in ("open", "prefill", "decode", "close"):
        raise ValueError(f"unknown operation {request['op']}")
    seconds = getattr(engine, request["op"])(**arguments)
    return {"ok": True} if seconds is None else {"seconds": seconds}
