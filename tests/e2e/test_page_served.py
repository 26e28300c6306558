"""The page as the program serves it, with a real model behind it."""

from test_page import DONE, answers, ask


def test_page_talks_with_the_model(browser, smollm):
    browser.size(1200, 800)
    browser.open(smollm.url + "/")
    browser.wait("document.querySelector('#server-state').textContent === 'ready'")
    assert browser.run("document.querySelector('#model').value") == "smollm2-135m"
    browser.key("s", "alt")
    browser.wait("document.querySelector('#settings').open")
    browser.run("document.querySelector('#setting-temperature').focus()")
    browser.type("0")
    browser.key("Escape")
    ask(browser, "What is 2+2? Answer with number only", timeout_s=120)
    assert answers(browser) == ["2 + 2 = 4"]
    figures = browser.text(".figures")
    assert "tok/s" in figures and "tokens" in figures and "first" in figures
    assert browser.problems == []


def test_stop_on_the_page_frees_the_request(browser, smollm):
    browser.open(smollm.url + "/")
    browser.key("n", "alt")
    ask(
        browser,
        "Write a very long story about the sea, with many chapters.",
        "document.querySelector('.message.assistant .markdown')?.innerText.length > 20",
        timeout_s=120,
    )
    browser.key("Escape")
    browser.wait(DONE)
    smollm.wait_until_idle(timeout_s=5)
