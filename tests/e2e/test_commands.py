"""The commands of the terminal, each as a process.

Covers src/app/run.cc, src/app/chat.cc, src/app/info.cc, src/app/text_commands.cc,
src/app/version.cc, src/app/bench.cc, src/app/machine_peak.cc and src/app/local_model.cc.
"""

import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest
from conftest import need_cached, need_shared
from served import binary

QUESTION = "What is 2+2? Answer with number only"


@pytest.fixture(scope="module")
def smollm_path():
    return need_cached("smollm2-135m")


def test_version_names_itself(inferno):
    result = inferno("version")
    assert result.returncode == 0
    assert re.match(rb"inferno \d+\.\d+\.\d+", result.stdout)


@pytest.mark.parametrize(
    "command", ["serve", "run", "chat", "tokenize", "template", "info", "bench"]
)
def test_each_command_explains_itself(inferno, command):
    result = inferno(command, "--help")
    assert result.returncode == 0
    assert command.encode() in result.stdout + result.stderr


def test_unknown_command_is_refused(inferno):
    result = inferno("sing")
    assert result.returncode == 2
    assert b"sing" in result.stderr


@pytest.mark.parametrize("command", ["serve", "run", "info", "bench", "tokenize"])
def test_missing_model_is_named(inferno, command):
    extra = ["hello"] if command == "run" else []
    result = inferno(command, "no-such-model", *extra, stdin=b"")
    assert result.returncode == 1
    assert b"no-such-model" in result.stderr


@pytest.mark.parametrize(
    "flags",
    [
        ["--port", "70000"],
        ["--isa", "mmx"],
        ["--kv-cache-memory", "lots"],
        ["--max-num-seqs", "-1"],
        ["--no-such-flag"],
        ["--threads", "-2"],
    ],
)
def test_wrong_flag_is_refused_and_named(inferno, tiny_model, flags):
    result = inferno("serve", tiny_model, *flags, timeout_s=60)
    assert result.returncode in (1, 2)
    assert flags[0].lstrip("-").encode() in result.stderr + result.stdout


def test_port_file_that_cannot_be_written_is_said_before_the_model_is_loaded(inferno, tiny_model):
    result = inferno("serve", tiny_model, "--port", 0, "--port-file", "/no/such/folder/port")
    assert result.returncode == 1
    assert b"/no/such/folder/port" in result.stderr and b"loaded" not in result.stderr


def test_run_answers(inferno, smollm_path):
    result = inferno("run", smollm_path, QUESTION, "--temperature", 0)
    assert result.returncode == 0, result.stderr
    assert result.stdout.decode().strip() == "2 + 2 = 4"


def test_run_prints_json(inferno, smollm_path):
    result = inferno("run", smollm_path, QUESTION, "--temperature", 0, "--json")
    answer = json.loads(result.stdout)
    assert answer["text"].strip() == "2 + 2 = 4"
    assert len(answer["ids"]) == len(answer["logprobs"]) > 0
    assert all(value <= 0 for value in answer["logprobs"])
    assert answer["timings"]


def test_run_gives_the_same_for_each_thread_count_and_instruction_set(inferno, smollm_path):
    base = ["run", smollm_path, "Tell me about the sea.", "--temperature", 1, "--seed", 5, "--json"]
    answers = []
    for flags, token_count in (
        (["--threads", 1], 24),
        (["--threads", 2], 24),
        (["--isa", "avx2"], 24),
        (["--isa", "plain"], 6),  # it takes half a second a token
    ):
        result = inferno(*base, "--max-tokens", token_count, *flags, timeout_s=300)
        if result.returncode and flags[0] == "--isa" and b"CPU" in result.stderr:
            continue  # this machine cannot run that one
        assert result.returncode == 0, result.stderr
        answer = json.loads(result.stdout)
        assert len(answer["ids"]) == len(answer["logprobs"]) == token_count
        answers.append(answer)
    first = answers[0]
    for answer in answers:
        token_count = len(answer["ids"])
        assert answer["ids"] == first["ids"][:token_count]
        assert answer["logprobs"] == first["logprobs"][:token_count]
        if token_count == len(first["ids"]):
            assert answer["text"] == first["text"]
        else:
            assert answer["text"] and first["text"].startswith(answer["text"])


def test_run_raw_continues_without_the_template(inferno, smollm_path):
    raw = inferno("run", smollm_path, "1, 2, 3, 4,", "--raw", "--temperature", 0, "--max-tokens", 6)
    assert raw.returncode == 0
    assert raw.stdout.decode().split(",")[0].strip() == "5"


@pytest.mark.parametrize(
    "text",
    [
        "Hello, world!",
        "",
        "žluťoučký kůň 日本語 🙂",
        "a  b\n\n\tc   ",
        "x" * 3000,
        "<|im_start|>user",
    ],
)
def test_tokenize_and_back_is_the_same_text(inferno, smollm_path, text):
    result = inferno("tokenize", smollm_path, stdin=text.encode())
    assert result.returncode == 0, result.stderr
    ids = json.loads(result.stdout)
    assert all(isinstance(token, int) for token in ids)
    assert (
        inferno("tokenize", smollm_path, "--decode", stdin=json.dumps(ids).encode()).stdout
        == text.encode()
    )


def test_tokenize_refuses_ids_outside_the_vocabulary(inferno, smollm_path):
    for stdin in (b"[99999999]", b"[-1]", b"{}", b"[1.5]", b'["x"]', b"["):
        result = inferno("tokenize", smollm_path, "--decode", stdin=stdin)
        assert result.returncode == 1 and result.stderr, stdin


@pytest.mark.parametrize("name", ["llama", "qwen2", "gemma3", "gptoss-truncated"])
def test_tokenize_agrees_with_the_recorded_ids(inferno, name):
    model = need_shared(f"{name}/model-f32.gguf")
    for prompt in json.loads((model.parent / "golden.json").read_text())["prompts"]:
        result = inferno("tokenize", model, "--add-special", stdin=prompt["text"].encode())
        assert json.loads(result.stdout) == prompt["token_ids"], prompt["name"]


def test_template_renders_the_recorded_prompts(inferno, smollm_path):
    record = need_shared("real") / "smollm2-135m-q4_1.json"
    for prompt in json.loads(record.read_text())["prompts"]:
        if "messages" not in prompt:
            continue
        given = {"messages": prompt["messages"], "add_generation_prompt": True}
        result = inferno("template", smollm_path, stdin=json.dumps(given).encode())
        assert result.returncode == 0, result.stderr
        assert result.stdout.decode() == prompt["text"]


def test_template_takes_a_file(inferno, tmp_path):
    source = tmp_path / "template.jinja"
    source.write_text("{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}")
    given = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    result = inferno("template", source, stdin=json.dumps(given).encode())
    assert result.stdout == b"[user] a\n[assistant] b\n"


@pytest.mark.parametrize(
    "template",
    [
        "{% for %}",
        "{{ 1 +",
        "{{ undefined_function() }}",
        "{% raise %}",
        "{% for a in range(1000000000) %}x{% endfor %}",
    ],
)
def test_template_that_cannot_be_rendered_is_an_error(inferno, tmp_path, template):
    source = tmp_path / "template.jinja"
    source.write_text(template)
    result = inferno("template", source, stdin=b'{"messages": []}', timeout_s=60)
    assert result.returncode == 1
    assert result.stderr


def test_info_tells_what_the_file_holds(inferno, smollm_path):
    facts = json.loads(inferno("info", smollm_path, "--json").stdout)
    assert facts["architecture"] == "llama"
    assert facts["layers"] == 30 and facts["width"] == 576
    assert facts["types"]["Q4_1"]["tensors"] == 210
    plain = inferno("info", smollm_path)
    assert plain.returncode == 0 and b"llama" in plain.stdout and b"Q4_1" in plain.stdout


def test_info_reads_a_folder(inferno):
    facts = json.loads(inferno("info", need_shared("llama/hf"), "--json").stdout)
    assert facts["architecture"] == "llama" and facts["parameters"] > 0


def test_info_counts_packed_tensors_as_they_are_stored(inferno):
    folder = need_shared("gptoss-mxfp4/hf")
    facts = json.loads(inferno("info", folder, "--json").stdout)
    assert facts["types"]["U8"]["bytes"] > 0
    stored = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    assert 0.9 * stored < facts["tensor_bytes"] < stored


def test_bench_reports_each_test(inferno, smollm_path):
    result = inferno(
        "bench", smollm_path, "--pp", 64, "--tg", 8, "--reps", 2, "--json", timeout_s=300
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["threads"] >= 1 and report["isa"]
    tests = {test["test"]: test for test in report["results"]}
    assert set(tests) == {"pp64", "tg8"}
    for test in tests.values():
        assert len(test["tokens_per_s"]) == 2
        assert min(test["tokens_per_s"]) <= test["median"] <= max(test["tokens_per_s"])
        assert min(test["tokens_per_s"]) > 0
        assert 0 < test["read_peak_percent"] < 150 and 0 < test["int8_peak_percent"] < 150


class Terminal:
    """`inferno chat` in a pseudo-terminal of its own."""

    def __init__(self, folder, *arguments):
        self.leader, follower = pty.openpty()
        self.process = subprocess.Popen(
            [str(binary()), "chat", *map(str, arguments)],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
            env={**os.environ, "XDG_STATE_HOME": str(folder), "TERM": "xterm"},
        )
        os.close(follower)
        os.set_blocking(self.leader, False)
        self.seen = b""

    def wait_for(self, pattern, timeout_s=60):
        """Reads until `pattern` (bytes) matches what came since the last match."""
        deadline = time.monotonic() + timeout_s
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < deadline, f"no {pattern} in {self.seen!r}"
            try:
                self.seen += os.read(self.leader, 65536)
            except (BlockingIOError, OSError):
                time.sleep(0.02)
        self.seen = self.seen[found.end() :]
        return found

    def type(self, text):
        os.write(self.leader, text)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.leader)


@pytest.fixture
def terminal(tmp_path, smollm_path):
    opened = Terminal(tmp_path, smollm_path, "--temperature", 0, "--max-tokens", 4000)
    yield opened
    opened.close()


def test_chat_answers_and_ctrl_c_stops_the_answer_not_the_program(terminal):
    terminal.wait_for(rb"> ")
    terminal.type(QUESTION.encode() + b"\n")
    terminal.wait_for(rb"2 \+ 2 = 4")
    terminal.wait_for(rb"> ")
    terminal.type(b"Write a very long story about a dragon.\n")
    terminal.wait_for(rb"dragon[^\n]*\n.{40}")
    terminal.process.send_signal(signal.SIGINT)
    terminal.wait_for(rb"\[stopped\]")
    terminal.wait_for(rb"> ")
    assert terminal.process.poll() is None
    terminal.type(b"/exit\n")
    assert terminal.process.wait(30) == 0


def test_chat_keeps_a_history_and_ctrl_d_leaves(terminal, tmp_path):
    terminal.wait_for(rb"> ")
    terminal.type(b"/reset\n")
    terminal.wait_for(rb"> ")
    terminal.type(b"\x04")
    assert terminal.process.wait(30) == 0
    assert "/reset" in (tmp_path / "inferno" / "history").read_text().replace("\\040", " ")


def test_chat_reads_lines_without_a_terminal(inferno, smollm_path):
    result = inferno("chat", smollm_path, "--temperature", 0, stdin=QUESTION.encode() + b"\n")
    assert result.returncode == 0
    assert b"2 + 2 = 4" in result.stdout
