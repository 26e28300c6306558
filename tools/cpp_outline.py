"""A rough outline of a C++ file without a compiler: functions, their lengths and parameters.

Comments, literals and preprocessor lines are blanked (positions stay), then braces are followed
with a stack of scopes. It knows the project's own style, not all of C++: K&R braces, and no macro
that opens a scope except TEST and its like. What it takes for a function is a '{' or ';' after a
parameter list at the scope of a file, namespace or class.
"""

import re
from dataclasses import dataclass, field

RAW_STRING = re.compile(r'R"([^()\\\s]{0,16})\(')
NAME_BEFORE_PARENS = re.compile(r"(~?[A-Za-z_]\w*|operator\s*[^\s\w(]+|operator\(\))\s*$")
NOT_FUNCTIONS = {"if", "for", "while", "switch", "catch", "return", "sizeof", "decltype", "alignas",
                 "static_assert", "noexcept", "requires", "defined", "__attribute__", "alignof"}
TYPE_KEYWORD = re.compile(r"\b(class|struct|union)\b")


@dataclass
class Function:
    """One definition or declaration. Lines count from 1; a declaration has body_lines 0."""
    name: str
    line: int
    body_lines: int
    parameters: list = field(default_factory=list)


def blank(text):
    """The text with comments, literals and preprocessor lines replaced by spaces; newlines stay."""
    out, at, size = list(text), 0, len(text)

    def wipe(begin, end):
        for index in range(begin, min(end, size)):
            if out[index] != "\n":
                out[index] = " "

    line_start = True
    while at < size:
        char = text[at]
        if line_start and char == "#":
            end = at
            while True:
                end = text.find("\n", end)
                end = size if end < 0 else end
                if end >= size or text[end - 1] != "\\":
                    break
                end += 1
            wipe(at, end)
            at = end
            continue
        if char == "\n":
            line_start = True
        elif not char.isspace():
            line_start = False
        at = skip_literal(text, at, wipe)
    return "".join(out)


def skip_literal(text, at, wipe):
    """Blanks the comment or literal that starts at `at`, if one does; returns where to go on."""
    size = len(text)
    if text.startswith("//", at):
        end = text.find("\n", at)
        end = size if end < 0 else end
        wipe(at, end)
        return end
    if text.startswith("/*", at):
        end = text.find("*/", at + 2)
        end = size if end < 0 else end + 2
        wipe(at, end)
        return end
    raw = RAW_STRING.match(text, at)
    if raw and not (at and (text[at - 1].isalnum() and text[at - 1] not in "uUL8")):
        end = text.find(")" + raw.group(1) + '"', raw.end())
        end = size if end < 0 else end + len(raw.group(1)) + 2
        wipe(at + 1, end)
        return end
    char = text[at]
    if char == '"' or (char == "'" and not (at and text[at - 1].isalnum())):
        end = at + 1
        while end < size and text[end] not in (char, "\n"):
            end += 2 if text[end] == "\\" else 1
        wipe(at + 1, end)
        return end + 1
    return at + 1


def split_top(text, separator=","):
    """Splits at separators outside (), [], {} and <>."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        if char in "([{<":
            depth += 1
        elif char in ")]}" or (char == ">" and text[index - 1:index] != "-"):
            depth = max(0, depth - 1)
        elif char == separator and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [part.strip() for part in parts + [text[start:]] if part.strip()]


def closing(text, opening):
    """Index of the bracket that closes the one at `opening`, or -1."""
    pairs, depth = {"(": ")", "{": "}", "[": "]"}, 0
    for index in range(opening, len(text)):
        if text[index] == text[opening]:
            depth += 1
        elif text[index] == pairs[text[opening]]:
            depth -= 1
            if depth == 0:
                return index
    return -1


def strip_template(head):
    """The head without leading template<...> and attributes."""
    while True:
        head = head.lstrip()
        match = re.match(r"template\s*<", head)
        if match:
            depth, index = 1, match.end()
            while index < len(head) and depth:
                depth += {"<": 1, ">": -1}.get(head[index], 0)
                index += 1
            head = head[index:]
        elif head.startswith("[["):
            head = head[head.find("]]") + 2:]
        else:
            return head


def signature(head):
    """(name, parameters, what follows the parameter list) of a function head, or None.

    For a function pointer, `void (*name)(int a)`, the name and parameters of what it points to.
    """
    head = strip_template(head)
    at = 0
    while True:
        opening = head.find("(", at)
        if opening < 0:
            return None
        end = closing(head, opening)
        if end < 0:
            return None
        before = head[:opening]
        pointer = re.match(r"\(\s*\*\s*(\w+)\s*\)$", head[opening:end + 1])
        if pointer and head[end + 1:].lstrip().startswith("("):
            second = head.index("(", end)
            last = closing(head, second)
            return pointer.group(1), split_top(head[second + 1:last]), head[last + 1:]
        if re.search(r"operator\s*$", before) and head[opening:end + 1] == "()":
            second = head.find("(", end + 1)
            if second < 0:
                return None
            last = closing(head, second)
            return "operator()", split_top(head[second + 1:last]), head[last + 1:]
        name = NAME_BEFORE_PARENS.search(before)
        if name and name.group(1) not in NOT_FUNCTIONS and "=" not in without_operator(before):
            inside = head[opening + 1:end].strip()
            parameters = [] if inside == "void" else split_top(inside)
            return name.group(1), parameters, head[end + 1:]
        if "=" in without_operator(before):
            return None
        at = end + 1


def without_operator(text):
    return re.sub(r"operator\s*[^\s\w(]+", "", text)


def is_body(after):
    """True when what follows the parameter list may stand before a function's body."""
    after = after.strip()
    if not after:
        return True
    if after.startswith(":") and not after.startswith("::"):
        return after[-1] in ")}"
    return re.match(r"(const|noexcept|override|final|mutable|try|->|requires|&|INFERNO_\w+|"
                    r"[A-Z_]+\()", after) is not None and not after.endswith("=")


def outline(text):
    """All functions of a C++ text, in order of their first line."""
    clean = blank(text)
    functions, scopes, start, at = [], [], 0, 0
    while at < len(clean):
        char = clean[at]
        if char == ";":
            add_declaration(functions, clean, start, at)
            start = at + 1
        elif char == "}":
            if scopes:
                scopes.pop()
            start = at + 1
        elif char == "{":
            head = clean[start:at]
            kind = kind_of(head)
            if kind == "scope":
                scopes.append(kind)
                start = at + 1
            else:
                end = closing(clean, at)
                if end < 0:
                    break
                if kind == "function":
                    functions.append(make(clean, start, at, end))
                    start = end + 1
                elif kind == "enum":
                    start = end + 1
                at = end
        elif char == ":" and re.match(r"\s*(public|private|protected)\s*$", clean[start:at]):
            start = at + 1
        elif char == "(":
            end = closing(clean, at)
            at = end if end > 0 else at
        at += 1
    return functions


def kind_of(head):
    """'scope' to look inside, 'function' for a body, 'enum', or 'braces' of an initializer."""
    bare = strip_template(head).strip()
    if re.match(r"(inline\s+)?namespace\b|extern\s*\"\s*\"$", bare):
        return "scope"
    if re.match(r"enum\b", bare):
        return "enum"
    if re.match(r"(class|struct|union)\b", bare) and "=" not in bare:
        return "scope"
    found = signature(head)
    if found and is_body(found[2]):
        return "function"
    if found is None and TYPE_KEYWORD.search(bare) and "=" not in bare:
        return "scope"
    return "braces"


def line_of(text, index):
    return text.count("\n", 0, index) + 1


def make(clean, start, opening, end):
    head = clean[start:opening]
    first = start + len(head) - len(head.lstrip())
    name, parameters, _ = signature(head)
    if re.match(r"(TEST|TEST_F|TEST_P|TYPED_TEST|RC_GTEST_PROP|RC_GTEST_FIXTURE_PROP)$", name):
        name, parameters = ".".join(parameters[:2]), []
    return Function(name, line_of(clean, first), line_of(clean, end) - line_of(clean, first) + 1,
                    parameters)


def add_declaration(functions, clean, start, end):
    head = clean[start:end]
    if re.match(r"(using|typedef|static_assert|return)\b", strip_template(head).strip()):
        return
    found = signature(head)
    if not found or re.fullmatch(r"[A-Z][A-Z0-9_]{2,}", found[0]):
        return
    first = start + len(head) - len(head.lstrip())
    functions.append(Function(found[0], line_of(clean, first), 0, found[1]))
