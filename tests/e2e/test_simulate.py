"""inferno simulate as a user runs it; covers src/app/simulate.cc."""

from served import run_command

SMALL = ["--num-prompts", 300, "--random-input-len", 60, "--random-output-len", 10, "--load", 0.9]


def test_policies_are_compared_on_the_same_traffic(inferno):
    done = inferno("simulate", *SMALL, "--policies", "slo,fcfs", "--mix", "interactive,batch:2")
    text = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert text.count("policy ") == 2
    assert "policy slo: 300 requests" in text and "policy fcfs: 300 requests" in text
    assert text.count("interactive") == 2


def test_the_same_seed_prints_the_same_figures(inferno):
    def figures():
        lines = inferno("simulate", *SMALL, "--seed", 4).stdout.decode().splitlines()
        return [line for line in lines if "real" not in line]

    assert figures() == figures()


def test_what_does_not_fit_is_an_error_that_names_the_limit():
    done = run_command("simulate", *SMALL, "--max-model-len", 20)
    assert done.returncode == 1
    assert b"the limit is 20" in done.stderr
    assert run_command("simulate", "--policies", "fastest").returncode == 1
