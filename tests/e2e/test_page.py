"""The chat page in a real browser, against scripted answers."""

import json
import time

import pytest
from fake_server import Behaviour

# True on the page when an answer is there and none is under way.
DONE = (
    "document.querySelectorAll('.message.assistant').length > 0"
    " && !document.querySelector('.running')"
)


def ask(page, text, until=DONE, timeout_s=20):
    page.run("document.querySelector('#composer').focus()")
    page.type(text)
    page.key("Enter")
    page.wait(until, timeout_s)


def answers(page):
    return page.run(
        "[...document.querySelectorAll('.message.assistant .markdown')].map(n => n.innerText)"
    )


def questions(page):
    return page.run("[...document.querySelectorAll('.message.user .text')].map(n => n.innerText)")


def titles(page):
    return page.run("[...document.querySelectorAll('.chat-title')].map(n => n.textContent)")


def press(page, label, index=-1):
    """Clicks the last (or another) button with this name."""
    found = page.run(f"""(() => {{
        const all = [...document.querySelectorAll('button')].filter(b =>
            (b.getAttribute('aria-label') ?? b.textContent).trim().startsWith({json.dumps(label)}));
        all.at({index})?.click();
        return all.length;
    }})()""")
    assert found, f"no button {label!r}"


def test_answer_streams_with_its_figures(page, fake):
    fake.behaviour = Behaviour(
        pieces=["One ", "two ", "three ", "four"], delay_s=0.15, first_delay_s=0.3
    )
    ask(
        page,
        "Count",
        "document.querySelector('.message.assistant .markdown')?.innerText.includes('two')",
    )
    assert "four" not in answers(page)[0]
    page.wait(DONE)
    assert answers(page) == ["One two three four"]
    figures = page.text(".figures")
    assert "4 tokens" in figures and "tok/s" in figures and "first 0." in figures
    rate = float(figures.split(" tok/s")[0].split()[-1])
    assert 4 < rate < 8, figures
    assert page.problems == []


def test_request_carries_the_conversation(page, fake):
    ask(page, "First")
    fake.behaviour = Behaviour(pieces=["Second answer"])
    ask(page, "Second")
    body = fake.requests[-1]
    assert body["model"] == "fake-model" and body["stream"] is True
    assert body["messages"] == [
        {"role": "user", "content": "First"},
        {"role": "assistant", "content": "Hello there."},
        {"role": "user", "content": "Second"},
    ]
    assert "temperature" not in body and "max_tokens" not in body


@pytest.mark.parametrize("way", ["button", "escape"])
def test_stop_ends_the_stream_and_keeps_the_text(page, fake, way):
    fake.behaviour = Behaviour(pieces=["word "] * 500, delay_s=0.02)
    ask(
        page,
        "Go on",
        "document.querySelector('.message.assistant .markdown')?.innerText.length > 20",
    )
    if way == "button":
        page.click("#send")
    else:
        page.key("Escape")
    page.wait(DONE)
    shown = answers(page)[0]
    assert shown.startswith("word word") and len(shown) < 2000
    assert "stopped" in page.text(".figures")
    deadline = time.monotonic() + 10
    while fake.gone == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert fake.gone == 1, "the server was not told"


def test_regenerate_replaces_the_answer_and_undo_brings_it_back(page, fake):
    ask(page, "Hi")
    fake.behaviour = Behaviour(pieces=["Another."])
    press(page, "Regenerate")
    page.wait("document.querySelector('.message.assistant .markdown')?.innerText === 'Another.'")
    assert len(fake.requests) == 2
    assert fake.requests[1]["messages"] == fake.requests[0]["messages"]
    press(page, "Undo")
    assert answers(page) == ["Hello there."]


def test_edited_question_is_asked_again(page, fake):
    ask(page, "Wrong question")
    press(page, "Edit message")
    page.run("document.querySelector('.editor textarea').select()")
    page.type("Right question")
    press(page, "Send", 0)
    page.wait(DONE)
    assert questions(page) == ["Right question"]
    assert fake.requests[-1]["messages"] == [{"role": "user", "content": "Right question"}]
    assert len(answers(page)) == 1


def test_edited_answer_is_what_the_model_sees_next(page, fake):
    ask(page, "Hi")
    press(page, "Edit answer")
    page.run("document.querySelector('.editor textarea').select()")
    page.type("Changed **answer**")
    press(page, "Save")
    assert answers(page) == ["Changed answer"]
    ask(page, "Next")
    assert fake.requests[-1]["messages"][1]["content"] == "Changed **answer**"


def test_deleted_message_is_gone_until_undo(page):
    ask(page, "Hi")
    press(page, "Delete answer")
    assert answers(page) == []
    press(page, "Undo")
    assert answers(page) == ["Hello there."]


def test_settings_are_sent_and_kept(page, fake):
    page.key("s", "alt")
    page.wait("document.querySelector('#settings').open")
    page.type("You are terse.")
    for name, value in {
        "temperature": "0.3",
        "top_p": "0,9",
        "top_k": "40",
        "min_p": "0.05",
        "max_tokens": "99",
        "seed": "12345678901",
    }.items():
        page.run(f"document.querySelector('#setting-{name}').focus()")
        page.type(value)
    page.run("document.querySelector('#stop-strings').focus()")
    page.type("END\n\\n\\n")
    page.key("Escape")
    ask(page, "Hi")
    body = fake.requests[-1]
    assert body["messages"][0] == {"role": "system", "content": "You are terse."}
    expected = {
        "temperature": 0.3,
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.05,
        "max_tokens": 99,
        "seed": 12345678901,
        "stop": ["END", "\n\n"],
    }
    assert {key: body.get(key) for key in expected} == expected
    page.open(fake.address + "/")
    ask(page, "Again")
    assert {key: fake.requests[-1].get(key) for key in expected} == expected


def test_setting_outside_its_limits_is_said_and_not_sent(page, fake):
    page.key("s", "alt")
    for name, value in (("temperature", "7"), ("top_k", "1.5"), ("seed", "abc")):
        page.run(f"document.querySelector('#setting-{name}').focus()")
        page.type(value)
        assert (
            page.run(f"document.querySelector('#setting-{name}').getAttribute('aria-invalid')")
            == "true"
        )
    assert "0 to 2" in page.text("#sampling")
    page.key("Escape")
    ask(page, "Hi")
    assert not {"temperature", "top_k", "seed"} & set(fake.requests[-1])


def test_refusal_shows_the_servers_words(page, fake):
    fake.behaviour = Behaviour(
        status=400,
        error={
            "message": "temperature is 9, limit 2",
            "type": "BadRequestError",
            "param": "temperature",
            "code": 400,
        },
    )
    ask(page, "Hi")
    shown = page.text(".message .error")
    assert "temperature is 9, limit 2" in shown and "BadRequestError" in shown
    fake.behaviour = Behaviour(pieces=["Fine."])
    press(page, "Try again")
    page.wait("document.querySelector('.message.assistant .markdown')?.innerText === 'Fine.'")
    assert page.run("document.querySelectorAll('.message.assistant').length") == 1


def test_overload_says_when_to_come_back(page, fake):
    fake.behaviour = Behaviour(
        status=429, error={"message": "queue is full: 64 waiting", "type": "x", "code": 429}
    )
    ask(page, "Hi")
    assert "queue is full: 64 waiting" in page.text(".message .error")
    assert "2 s" in page.text(".message .error")


def test_question_without_an_answer_is_not_sent_again(page, fake):
    fake.behaviour = Behaviour(status=400, error={"message": "no", "code": 400})
    ask(page, "Fails")
    fake.behaviour = Behaviour()
    ask(page, "Works")
    assert fake.requests[-1]["messages"] == [{"role": "user", "content": "Works"}]


def test_error_in_the_middle_keeps_what_came(page, fake):
    fake.behaviour = Behaviour(
        pieces=["Some ", "words ", "more"],
        error_after=2,
        delay_s=0.1,
        error={"message": "the engine stopped", "type": "InternalServerError", "code": 500},
    )
    ask(page, "Hi")
    assert answers(page)[0].strip() == "Some words"
    assert "the engine stopped" in page.text(".message .error")


def test_lost_connection_keeps_what_came(page, fake):
    fake.behaviour = Behaviour(pieces=["Some ", "words ", "more"], break_after=2, delay_s=0.2)
    ask(page, "Hi")
    assert answers(page)[0].strip().startswith("Some")
    assert "connection was lost" in page.text(".message .error")


def test_unreachable_server_is_said_and_found_again(page):
    page.offline(True)
    ask(page, "Hi")
    assert "cannot be reached" in page.text(".message .error")
    page.wait("!document.querySelector('#banner').hidden")
    page.offline(False)
    page.click("#banner-retry")
    page.wait("document.querySelector('#banner').hidden")
    assert page.text("#server-state") == "ready"


def test_key_is_asked_for_and_sent(page, fake):
    fake.behaviour = Behaviour(key="secret")
    ask(page, "Hi")
    assert "API key" in page.text(".message .error")
    press(page, "Enter key")
    page.wait("document.activeElement.id === 'api-key'")
    page.type("secret")
    page.key("Escape")
    press(page, "Regenerate")
    page.wait(
        "document.querySelector('.message.assistant .markdown')?.innerText === 'Hello there.'"
    )


def test_conversations_survive_a_reload(page, fake):
    ask(page, "A first conversation")
    page.key("n", "alt")
    ask(page, "A second conversation")
    page.open(fake.address + "/")
    page.wait("document.querySelectorAll('.chat').length === 2")
    assert questions(page) == ["A second conversation"]
    assert "3 tokens" in page.text(".figures")
    page.key("ArrowDown", "alt")
    page.wait("document.querySelector('.message.user .text').innerText === 'A first conversation'")


def test_conversation_is_renamed_deleted_and_brought_back(page):
    ask(page, "Old name")
    page.run("document.querySelector('.chat-open').focus()")
    page.key("F2")
    page.run("document.querySelector('.chat-name').select()")
    page.type("New name")
    page.key("Enter")
    assert titles(page) == ["New name"]
    assert page.run("document.title") == "New name · Inferno"
    press(page, 'Delete "New name"')
    assert titles(page) == [] and questions(page) == []
    press(page, "Undo")
    assert titles(page) == ["New name"]


def test_export_can_be_imported_again(page):
    ask(page, "Keep this")
    result = page.run("""import("/store.js").then(store => {
        const chats = store.listChats().map(entry => store.loadChat(entry.id));
        localStorage.setItem("inferno.key", "secret");
        const text = store.exportText(chats);
        return {text, back: store.importText(text)};
    })""")
    assert "secret" not in result["text"]
    chat = result["back"][0]
    assert [m["content"] for m in chat["messages"]] == ["Keep this", "Hello there."]
    assert chat["id"] != json.loads(result["text"])["conversations"][0]["id"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"format": "other", "conversations": []}',
        '{"format": "inferno-conversations-1", "conversations": 5}',
    ],
)
def test_file_that_is_no_export_is_refused_with_words(page, text):
    said = page.run(f"""import("/store.js").then(store => {{
        try {{
            store.importText({json.dumps(text)});
            return "";
        }} catch (trouble) {{
            return trouble.message;
        }}
    }})""")
    assert said.startswith("The file is not")


def test_damaged_storage_does_not_break_the_page(page, fake):
    ask(page, "Hi")
    page.run("""(() => {
        const list = JSON.parse(localStorage.getItem("inferno.chats"));
        localStorage.setItem("inferno.chats", JSON.stringify(
            [null, 5, {id: "../x"}, {id: "gone"}, ...list]));
        localStorage.setItem(`inferno.chat.${list[0].id}`, JSON.stringify(
            {messages: [null, {role: "evil"}, {role: "user", content: 5}]}));
        localStorage.setItem("inferno.defaults", "{{{");
    })()""")
    page.open(fake.address + "/")
    page.wait("document.querySelector('#server-state').textContent === 'ready'")
    assert page.problems == []
    page.key("n", "alt")
    ask(page, "Still works")
    assert answers(page) == ["Hello there."]


def test_growing_answer_stays_in_sight_unless_the_reader_scrolls_up(page, fake):
    fake.behaviour = Behaviour(pieces=[f"Paragraph {i}.\n\n" for i in range(120)], delay_s=0.02)
    distance = (
        "(n => n.scrollHeight - n.scrollTop - n.clientHeight)(document.querySelector('#scroller'))"
    )
    ask(page, "Long", "document.querySelectorAll('.markdown p').length > 40")
    assert page.run(distance) < 5
    page.wheel("#scroller", -600)
    page.wait(f"{distance} > 300")
    place = page.run("document.querySelector('#scroller').scrollTop")
    page.wait("document.querySelectorAll('.markdown p').length > 90")
    assert abs(page.run("document.querySelector('#scroller').scrollTop") - place) < 120
    page.click("#to-end")
    page.wait(f"{distance} < 5")
    page.wait(DONE)
    assert page.run(distance) < 5


def test_composer_does_not_move_while_an_answer_comes(page, fake):
    fake.behaviour = Behaviour(pieces=["word "] * 60, delay_s=0.01, first_delay_s=0.2)
    top = "document.querySelector('#form').getBoundingClientRect().top"
    places = [page.run(top)]
    ask(page, "Hi", "!!document.querySelector('.running')")
    places.append(page.run(top))
    page.wait(DONE)
    places.append(page.run(top))
    assert len(set(places)) == 1, places


def test_shift_enter_breaks_the_line(page, fake):
    page.run("document.querySelector('#composer').focus()")
    page.type("one")
    page.key("Enter", "shift")
    page.type("two")
    page.key("Enter")
    page.wait(DONE)
    assert fake.requests[-1]["messages"][-1]["content"] == "one\ntwo"


def test_keys_reach_everything(page):
    ask(page, "Hi")
    page.run("document.activeElement.blur()")
    page.key("?")
    page.wait("document.querySelector('#shortcuts').open")
    page.key("Escape")
    page.wait("!document.querySelector('#shortcuts').open")
    page.key("/")
    assert page.run("document.activeElement.id") == "composer"
    page.key("ArrowUp")
    page.wait("!!document.activeElement.closest('.editor')")
    page.key("Escape")
    seen = set()
    for _ in range(40):
        page.key("Tab")
        seen.add(
            page.run("""(n => n.id || n.getAttribute('aria-label') || n.textContent.trim())
                             (document.activeElement)""")
        )
    for wanted in (
        "new-chat",
        "model",
        "theme",
        "open-settings",
        "composer",
        "Regenerate",
        "Copy answer",
    ):
        assert wanted in seen, f"{wanted} is not reached by Tab: {seen}"


def test_every_control_has_a_name(page):
    ask(page, "Hi")
    nameless = page.run("""[...document.querySelectorAll('button, input, textarea, select, a')]
        .filter(node => {
        const label = node.getAttribute('aria-label') || node.textContent.trim() ||
            [...(node.labels ?? [])].map(l => l.textContent).join('');
        return !label;
    }).map(node => node.outerHTML.slice(0, 100))""")
    assert nameless == []
    assert page.run("document.querySelector('#messages').getAttribute('aria-live')") == "polite"
    assert page.run("document.documentElement.lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(page, scheme):
    page.colours(scheme)
    worst = page.run("""(() => {
        const style = getComputedStyle(document.documentElement);
        const light = (name) => {
            const hex = style.getPropertyValue(name).trim().slice(1);
            const [r, g, b] = [0, 2, 4].map(i => parseInt(hex.slice(i, i + 2), 16) / 255)
                .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const ratio = (...names) => {
            const [dark, bright] = names.map(light).sort((a, b) => a - b);
            return (bright + 0.05) / (dark + 0.05);
        };
        return Math.min(...["--ground", "--surface", "--sunken"].flatMap(ground =>
            ["--text", "--text-soft", "--ember"].map(text => ratio(text, ground))),
            ratio("--on-ember", "--ember"), ratio("--on-ember", "--ember-strong"),
            ratio("--bad", "--bad-wash"));
    })()""")
    assert worst >= 4.5, f"contrast {worst:.2f}"


def test_theme_follows_the_system_until_it_is_chosen(page, fake):
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.run(ground)
    page.colours("dark")
    dark = page.run(ground)
    assert light != dark
    page.click("#theme")
    assert page.run(ground) == light
    page.open(fake.address + "/")
    assert page.run(ground) == light
    page.click("#theme")
    page.colours("light")
    assert page.run(ground) == dark


def test_small_phone_shows_everything_without_scrolling_sideways(page, fake):
    page.size(360, 640, phone=True)
    fake.behaviour = Behaviour(
        pieces=[
            "| a | b | c |\n|---|---|---|\n| " + "wide " * 20 + "| 2 | 3 |\n\n",
            "```\n" + "x" * 300 + "\n```\n\n",
            "verylongword" * 30,
        ]
    )
    page.run("document.querySelector('#composer').focus()")
    page.type("w" * 200)
    page.key("Enter")  # breaks the line on a touch screen
    assert fake.requests == []
    page.click("#send")
    page.wait(DONE)
    assert page.run("document.documentElement.scrollWidth") <= 360
    outside = page.run("""[...document.querySelectorAll('#main button, #main select, .message')]
        .filter(n => {
        const box = n.getBoundingClientRect();
        return box.width && (box.left < -1 || box.right > 361);
    }).map(n => n.outerHTML.slice(0, 80))""")
    assert outside == []
    page.click("#toggle-side")
    page.wait("document.querySelector('#side').getBoundingClientRect().left >= 0")
    page.click(".chat-open")
    page.wait("document.querySelector('#side').getBoundingClientRect().right <= 0")


def test_small_head_shows_whole_words_only(page):
    page.size(320, 568, phone=True)
    assert page.run("""[...document.querySelectorAll('header > *')].every(
        n => n.scrollWidth <= n.clientWidth || n.matches('select, .visually-hidden'))""")
    assert page.run("document.querySelector('#server-state').textContent") == "ready"


def test_touch_screen_shows_no_keys_to_press(page):
    hint = "getComputedStyle(document.querySelector('.dock-hint')).display"
    assert page.run(hint) != "none"
    page.size(844, 390, phone=True)
    assert page.run(hint) == "none"


def test_a_line_parts_the_head_from_what_lies_under_it(page, fake):
    line = "getComputedStyle(document.querySelector('header')).borderBottomColor"
    assert page.run(line) == "rgba(0, 0, 0, 0)"
    fake.behaviour = Behaviour(pieces=["Paragraph.\n\n" * 60])
    ask(page, "Long")
    page.wait(f"{line} !== 'rgba(0, 0, 0, 0)'")
    page.key("n", "alt")
    page.wait(f"{line} === 'rgba(0, 0, 0, 0)'")
