"""The page's markdown: what it makes of an answer, and that nothing in an answer can become markup
or code.
"""

import json

import pytest
from conftest import open_page
from fake_server import FakeServer


@pytest.fixture(scope="module")
def page(browser):
    """The page, opened once: no test changes it, each has an element of its own."""
    server = FakeServer()
    try:
        yield open_page(browser, server)
    finally:
        server.close()


def rendered(page, text):
    """The HTML that an answer becomes."""
    return page.run(f"""import("/markdown.js").then(({{MarkdownView}}) => {{
        const root = document.createElement("div");
        new MarkdownView(root).update({json.dumps(text)});
        return root.innerHTML;
    }})""")


@pytest.mark.parametrize(
    "text,expected",
    [
        ("plain", "<p>plain</p>"),
        ("two\nlines", "<p>two<br>lines</p>"),
        ("a **bold** and *soft* word", "<p>a <strong>bold</strong> and <em>soft</em> word</p>"),
        ("***both***", "<p><em><strong>both</strong></em></p>"),
        ("__bold__ _soft_ ~~gone~~", "<p><strong>bold</strong> <em>soft</em> <del>gone</del></p>"),
        ("snake_case_name and 2 * 3 * 4", "<p>snake_case_name and 2 * 3 * 4</p>"),
        ("**bold with *soft* inside**", "<p><strong>bold with <em>soft</em> inside</strong></p>"),
        ("*soft with **bold** inside*", "<p><em>soft with <strong>bold</strong> inside</em></p>"),
        ("`a * b` and ``x`y``", "<p><code>a * b</code> and <code>x`y</code></p>"),
        (r"\*not soft\*", "<p>*not soft*</p>"),
        ("# One\n## Two", "<h3>One</h3><h4>Two</h4>"),
        ("#hashtag", "<p>#hashtag</p>"),
        ("- a\n- b", "<ul><li>a</li><li>b</li></ul>"),
        ("1. a\n2. b", "<ol><li>a</li><li>b</li></ol>"),
        ("3) a\n4) b", '<ol start="3"><li>a</li><li>b</li></ol>'),
        (
            "- a\n  - b\n    - c\n- d",
            "<ul><li>a<ul><li>b<ul><li>c</li></ul></li></ul></li><li>d</li></ul>",
        ),
        ("1. a\n   - b\n2. c", "<ol><li>a<ul><li>b</li></ul></li><li>c</li></ol>"),
        ("- a\n\n- b", "<ul><li><p>a</p></li><li><p>b</p></li></ul>"),
        ("text\n- a", "<p>text</p><ul><li>a</li></ul>"),
        ("> quoted\n> more", "<blockquote><p>quoted<br>more</p></blockquote>"),
        ("---", "<hr>"),
        ("2 < 3 & 4 > 1", "<p>2 &lt; 3 &amp; 4 &gt; 1</p>"),
        ("unclosed **bold", "<p>unclosed **bold</p>"),
        ("", ""),
    ],
)
def test_markdown_becomes(page, text, expected):
    assert rendered(page, text) == expected


def test_code_block_keeps_its_text(page):
    html = rendered(page, "```cpp\nint a = 1 < 2; // *not soft*\n\n  b\n```\nafter")
    assert "int a = 1 &lt; 2; // *not soft*\n\n  b</code>" in html
    assert "<span>cpp</span>" in html and html.endswith("<p>after</p>")


def test_open_code_block_is_already_one(page):
    assert "<code>x = 1\ny</code>" in rendered(page, "```\nx = 1\ny")


def test_code_block_inside_a_list_stays_in_its_item(page):
    html = rendered(page, "1. first\n   ```\n   code\n   ```\n2. second")
    assert html.count("<li>") == 2 and "<code>code</code>" in html


def test_table_has_head_rows_and_alignment(page):
    html = rendered(page, "| a | b |\n|:--|--:|\n| 1 | `x\\|y` |\n| 2 |")
    assert html.count("<tr>") == 3 and html.count("<th ") == 2
    assert '<td class="align-right"><code>x|y</code></td>' in html
    assert '<td class="align-left">2</td><td class="align-right"></td>' in html


@pytest.mark.parametrize(
    "text,address",
    [
        ("[here](https://example.com/a_(b))", "https://example.com/a_(b)"),
        ("see https://example.com/x?y=1&z=2.", "https://example.com/x?y=1&z=2"),
        ("<https://example.com/>", "https://example.com/"),
        ("[mail](mailto:a@example.com)", "mailto:a@example.com"),
        ("![picture](https://example.com/p.png)", "https://example.com/p.png"),
    ],
)
def test_link_goes_where_it_says(page, text, address):
    html = rendered(page, text)
    assert f'href="{address.replace("&", "&amp;")}"' in html
    assert 'rel="noopener noreferrer nofollow"' in html
    assert "<img" not in html


HOSTILE = [
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked=1'>",
    "<svg/onload=window.hacked=1>",
    "[a](javascript:window.hacked=1)",
    "[a](JaVaScRiPt:window.hacked=1)",
    "[a](java\tscript:window.hacked=1)",
    "[a](\x01javascript:window.hacked=1)",
    "[a](data:text/html,<script>window.hacked=1</script>)",
    "[a](vbscript:x)",
    "[a](file:///etc/passwd)",
    "[a](//example.com)",
    "[a](/v1/models)",
    "<javascript:window.hacked=1>",
    "![x](javascript:window.hacked=1)",
    '[a](https://x.com "onmouseover=window.hacked=1")',
    '[a](https://x.com/"onclick="window.hacked=1)',
    '```"><script>window.hacked=1</script>\nx\n```',
    "| <script>window.hacked=1</script> |\n|---|\n| <b onclick=x>a</b> |",
    "<a href='javascript:window.hacked=1'>x</a>",
    "&lt;script&gt;window.hacked=1&lt;/script&gt;",
    "`<script>window.hacked=1</script>`",
    "1. <iframe src=x>",
    "https://example.com/<script>window.hacked=1</script>",
    "# <style>*{display:none}</style>",
    "[<img src=x onerror=window.hacked=1>](https://example.com)",
    "<!-- --><script>window.hacked=1</script>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_answer_stays_text(page, text):
    trouble = page.run(f"""import("/markdown.js").then(async ({{MarkdownView}}) => {{
        delete window.hacked;
        const root = document.createElement("div");
        document.body.append(root);
        new MarkdownView(root).update({json.dumps(text)});
        root.querySelectorAll("a").forEach(a => a.target = "");
        const bad = [...root.querySelectorAll("*")].filter(node =>
            /^(script|img|svg|iframe|style|object|embed|form|base|meta|link)$/i.test(
                node.tagName) ||
            [...node.attributes].some(a => a.name.startsWith("on") || a.name === "style" ||
                (a.name === "href" && !/^(https?|mailto):/.test(a.value))));
        await new Promise(done => setTimeout(done, 5));
        root.remove();
        return bad.map(node => node.outerHTML).join() + (window.hacked ?? "");
    }})""")
    assert trouble == ""


@pytest.mark.parametrize(
    "text",
    [
        "*" * 20_000,
        "_a" * 20_000,
        "`" * 20_001,
        "[" * 20_000,
        "[a](" * 8_000,
        ">" * 5_000,
        "> " * 5_000,
        "- " * 5_000,
        "**a " * 10_000,
        "|" * 20_000 + "\n" + "|-" * 10_000,
        "~~" * 10_000,
        "<https://" * 5_000,
        "![" * 10_000,
        "`a``b```c" * 3_000,
        "1. " * 5_000,
        "\n" * 50_000,
        "*a_b" * 10_000,
    ],
    ids=lambda text: text[:8],
)
def test_long_nonsense_is_rendered_in_time(page, text):
    spent = page.run(f"""import("/markdown.js").then(({{MarkdownView}}) => {{
        const begin = performance.now();
        new MarkdownView(document.createElement("div")).update({json.dumps(text)});
        return performance.now() - begin;
    }})""")
    assert spent < 1500, f"{spent:.0f} ms"


def test_growing_text_ends_as_the_whole_and_keeps_earlier_blocks(page):
    text = (
        "# Title\n\nText with **bold**.\n\n- a\n  - b\n\n```py\nx = 1\n```\n\n"
        "| a |\n|---|\n| 1 |\n\nEnd."
    )
    result = page.run(f"""import("/markdown.js").then(({{MarkdownView}}) => {{
        const text = {json.dumps(text)};
        const grown = document.createElement("div");
        const view = new MarkdownView(grown);
        let title = null, kept = true;
        for (let i = 1; i <= text.length; ++i) {{
            view.update(text.slice(0, i));
            if (i === 12) title = grown.firstElementChild;
            if (i > 12 && grown.firstElementChild !== title) kept = false;
        }}
        const whole = document.createElement("div");
        new MarkdownView(whole).update(text);
        return {{same: grown.innerHTML === whole.innerHTML, kept}};
    }})""")
    assert result == {"same": True, "kept": True}
