"""Fixtures for tests that drive the whole program.

The program is build/release/inferno, or INFERNO_BINARY; its absence fails a test, as the tests
exist for it. A model that is absent skips one with its name.
"""

import pytest
import served as served_module
from browser import Browser, find_chromium
from fake_server import FakeServer
from served import Served, binary, cached_model, shared_model

CONFORMANCE_MODELS = [
    "llama/model-f32.gguf",
    "qwen2/model-f32.gguf",
    "gemma3/model-f32.gguf",
    "llama/hf",
]


def need_binary():
    if not binary().exists():
        pytest.fail(
            f"{binary()} does not exist: run ./dev build, or name a program in INFERNO_BINARY",
            pytrace=False,
        )


def need_cached(name):
    path = cached_model(name)
    if path is None:
        pytest.skip(f"model {name} is not in the cache: ./dev model {name}")
    return path


def need_shared(name):
    path = shared_model(name)
    if path is None:
        pytest.skip(f"conformance model {name} is not at {served_module.SHARED_MODELS}")
    return path


@pytest.fixture(scope="session")
def inferno():
    """`inferno ARGUMENTS` as a function: run to its end."""
    need_binary()
    return served_module.run_command


@pytest.fixture(scope="session")
def start_server(tmp_path_factory):
    """A function that starts a server; all are stopped at the end of the session."""
    need_binary()
    servers = []

    def start(model, *flags, **options):
        server = Served(tmp_path_factory.mktemp("server"), model, *flags, **options)
        servers.append(server)
        return server

    yield start
    codes = [server.stop() for server in servers]
    assert not any(codes), f"exit codes after SIGTERM: {codes}\n{servers[0].log()}"


@pytest.fixture(scope="session")
def smollm(start_server):
    """A server of the default model, shared by all tests that leave it as it was."""
    return start_server(
        need_cached("smollm2-135m"), "--kv-cache-memory", "512MiB", name="smollm2-135m"
    )


@pytest.fixture(scope="session", params=CONFORMANCE_MODELS)
def conformance(request, start_server):
    """(server, folder) of each conformance model in turn."""
    path = need_shared(request.param)
    return start_server(path, "--kv-cache-memory", "64MiB"), path.parent


@pytest.fixture(scope="session")
def tiny_model():
    """A model that loads at once, for tests in which the words do not matter."""
    return need_shared("llama/model-f32.gguf")


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    if find_chromium() is None:
        pytest.skip("Chromium is not installed: ./dev setup")
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def fake():
    """A stand-in for the API under the page's own files; its port, and so its storage, is fresh."""
    server = FakeServer()
    yield server
    server.close()


def open_page(browser, server):
    """The browser with the page of a server in it, as every test finds it."""
    browser.size(1200, 800)
    browser.colours("light")
    browser.offline(False)
    browser.open(server.address + "/")
    browser.wait("document.querySelector('#server-state').textContent === 'ready'")
    return browser


@pytest.fixture
def page(browser, fake):
    """The page, just opened, with a server that answers "Hello there."."""
    return open_page(browser, fake)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds the end of the servers' logs to the report of a failed test."""
    report = yield
    if report.when == "call" and report.failed:
        for value in item.funcargs.values():
            for part in value if isinstance(value, tuple) else (value,):
                if isinstance(part, Served):
                    state = (
                        "runs"
                        if part.process.poll() is None
                        else f"ended with {part.process.returncode}"
                    )
                    report.sections.append((f"log of {part.name} ({state})", part.log()[-4000:]))
    return report
