#include "token/jinja/template_testing.h"

namespace inferno::token::jinja {
namespace {

constexpr Renders kStatements[] = {
    {"{{ {'x':1,'y':2}|items|list }} {{ nope|items|list }} {% for k, v in {'x':1}|items %}{{ k "
     "}}={{ v }}{% endfor %}",
     "[('x', 1), ('y', 2)] [] x=1"},
    {"{% for g in people|groupby('age') %}{{ g.grouper }}:{{ "
     "g.list|map(attribute='name')|join(',') }};{% endfor %} {{ people|groupby('c.t')|first|first "
     "}}",
     "25:Alice;30:bob,carl; x"},
    {"{% for k, g in people|groupby('name', default='z') %}{{ k }} {{ g|length }};{% endfor %} {{ "
     "([{'a':1}]|groupby('a')) }}",
     "Alice 1;bob 1;carl 1; [(1, [{'a': 1}])]"},
    {"{% if false %}{{ 1 is nosuch }}{{ 1|nosuch }}{% endif %}ok", "ok"},
    {"{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ "
     "loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }} {% endfor %}",
     "1032TrueFalse310 2121FalseFalse310 3210FalseTrue310 "},
    {"{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}",
     "<3>1 3<1>2 1<2> "},
    {"{% for x in l %}{{ loop.cycle('a','b') }}{{ loop.changed(x > 1) }} {% endfor %}",
     "aTrue bTrue aTrue "},
    {"{% for x in l if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% else %}none{% endfor "
     "%}",
     "1/2:3 2/2:2 "},
    {"{% for x in l if x > 10 %}{{ x }}{% else %}none{% endfor %}", "none"},
    {"{% for x in [] %}{% else %}empty{% endfor %}{% for x in nope %}x{% else %}undef{% endfor %}",
     "emptyundef"},
    {"{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% if x == 2 %}{% break %}{% "
     "endif %}{% endfor %}",
     "32"},
    {"{% for x in [1,2] %}{% break %}{% else %}E{% endfor %}|{% for x in [1,2] %}{% continue %}{% "
     "else %}E{% endfor %}|{% for x in [1,2] %}{% if x==2 %}{% break %}{% endif %}{% else %}E{% "
     "endfor %}",
     "E|E|"},
    {"{% for a, b in [(1,2),[3,4]] %}{{ a }}-{{ b }} {% endfor %}{% for a, (b, c) in [(1,(2,3))] "
     "%}{{ a }}{{ b }}{{ c }}{% endfor %}",
     "1-2 3-4 123"},
    {"{% for k in d %}{{ k }} {% endfor %}{% for k, v in d.items() %}{{ k }}:{{ v }} {% endfor %}",
     "b a C items größe b:2 a:1 C:3 items:own größe:ä "},
    {"{% for c in 'héy' %}{{ c }}.{% endfor %}", "h.é.y."},
    {"{% for item in nested recursive %}{% if item is iterable %}[{{ loop(item) }}]{% else %}{{ "
     "item }}d{{ loop.depth }}{% endif %}{% endfor %}",
     "[1d22d2][3d2[4d35d3]]"},
    {"{% for x in l %}{% for y in [1] %}{{ loop.index }}{{ loop.length }}{% endfor %}{{ loop.index "
     "}}{% endfor %}",
     "111112113"},
    {"{% set x = 0 %}{% for i in [1,2,3] %}{{ x }}{% set x = x + 1 %}{{ x }} {% endfor %}{{ x }}",
     "01 01 01 0"},
    {"{% set ns = namespace(x=0, y='a') %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ "
     "ns.x }}{{ ns.y }}{{ ns.z }}|{{ ns['x'] }}|{{ ns }}",
     "6a|6|<Namespace {'x': 6, 'y': 'a'}>"},
    {"{% set ns = namespace({'a':1}, b=2) %}{{ ns.a }}{{ ns.b }}", "12"},
    {"{% if true %}{% set v = 1 %}{% endif %}{{ v }}{% if false %}{% set w = 1 %}{% endif %}[{{ w "
     "}}]",
     "1[]"},
    {"{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c = 1, 2 %}{{ c }}{% set (p, q) = 'xy' %}{{ p }}{{ "
     "q }}{% set t = (3,) %}{{ t }}",
     "12(1, 2)xy(3,)"},
    {"{% set x %}hello {{ s }}{% endset %}{{ x }}{{ x|length }}{% set y | upper | trim %}  abc  {% "
     "endset %}[{{ y }}]",
     "hello Hello World17[ABC]"},
    {"{% set x %}{% set inner = 5 %}a{% endset %}{{ inner }}|{{ x }}", "|a"},
    {"{% with a = 1, b = 2 %}{{ a }}{{ b }}{% set a = 5 %}{{ a }}{% endwith %}[{{ a }}]{% with "
     "%}x{% endwith %}{% with a=1, b=a %}{{ b }}{% endwith %}",
     "125[]x"},
    {"{% filter upper %}abc {{ s }}{% endfilter %}{% filter replace('a','b')|upper %}aXa{% "
     "endfilter %}",
     "ABC HELLO WORLDBXB"},
    {"{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, c=3) }} {{ "
     "m(b=5, a=4) }} {{ m() }}",
     "12x 123 45x 2x"},
    {"{% macro m(a) %}{{ varargs }}{{ kwargs }}{{ a }}{% endmacro %}{{ m(1,2,3,x=4) }}{{ m() }}{{ "
     "m.name }}{{ m.arguments }}{{ m.catch_kwargs }}{{ m.caller }}",
     "(2, 3){'x': 4}1(){}m('a',)TrueFalse"},
    {"{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(3) }}", "33"},
    {"{% macro wrap(t) %}<{{ t }}>{{ caller() }}</{{ t }}>{% endmacro %}{% call wrap('b') %}inner "
     "{{ s }}{% endcall %}",
     "<b>inner Hello World</b>"},
    {"{% macro each(xs) %}{% for x in xs %}{{ caller(x, loop.index) }};{% endfor %}{% endmacro "
     "%}{% call(x, i) each(l) %}{{ i }}={{ x }}{% endcall %}",
     "1=3;2=1;3=2;"},
    {"{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}", "False"},
    {"{% macro m() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}{% for x in [5] %}{{ m() }}{% "
     "endfor %}",
     "11"},
    {"{% for i in [1,2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}{{ m }}", "12"},
    {"{% macro fact(n) %}{{ 1 if n <= 1 else n * fact(n-1)|int }}{% endmacro %}{{ fact(10) }}",
     "3628800"},
    {"{% macro m(x) %}  {{ x }}  {% endmacro %}[{{ m(1)|trim }}] {{ m(1)|length }} {{ m is "
     "callable }} {{ m is string }}",
     "[1] 5 True False"},
    {"{% set c = cycler('a','b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ "
     "c.reset() }}{{ c.next() }}",
     "ababNonea"},
    {"{% set j = joiner(', ') %}{{ j() }}a{{ j() }}b{{ j() }}c", "a, b, c"},
    {"{% raw %}{{ not }} {% this %}{% endraw %}|{% raw -%}  x  {%- endraw %}|",
     "{{ not }} {% this %}|x|"},
    {"a  {%- if true -%}  b  {%- endif -%}  c", "abc"},
    {"a  {%+ if true +%}  b  {% endif %}  c", "a    b    c"},
    {"{# comment #}a{#- c2 -#}  b {# multi {{ x }} #}c", "ab c"},
    {"{% generation %}gen{{ s }}{% endgeneration %}", "genHello World"},
    {"{% block foo %}in{{ s }}{% endblock %}{% block bar scoped %}x{% endblock bar %}",
     "inHello Worldx"},
    {"{% print 1, 2, 'x' %}", "12x"},
    {"{% if 1 %}a{% elif 2 %}b{% else %}c{% endif %}{% if 0 %}a{% elif 2 %}b{% else %}c{% endif "
     "%}{% if 0 %}a{% elif 0 %}b{% else %}c{% endif %}",
     "abc"},
    {"{% if false %}{% include 'x' %}{% endif %}ok", "ok"},
    {"{% macro m(a,b,c) %}{{a}}{{b}}{{c}}{% endmacro %}{{ m(*l) }}{{ m(**{'a':1,'b':2,'c':3}) }}{{ "
     "m(1, *[2,3]) }}",
     "312123123"},
    {"{% if true %}\n  a\n{% endif %}\nb\n", "  a\nb"},
    {"  {% if true %}\n  a\n  {% endif %}\nb\n\n", "  a\nb\n"},
    {"x {% if true %}\ny\n {% endif %} z", "x y\n z"},
    {"{%- if true %}\n\n a {%- endif %}\n\n b", "\n a\n b"},
    {"{% if true -%}\n\n a\n\n{%- endif -%}\n\n b", "ab"},
    {"a\n  {# c #}\n  b", "a\n  b"},
    {"a\n  {#- c -#}\n  b", "ab"},
    {"a\n  {{ 1 }}\n  b\n", "a\n  1\n  b"},
    {"a\n  {{- 1 -}}\n  b\n", "a1b"},
    {"a\n  {%+ if true %}\n  b\n  {% endif +%}\n c", "a\n    b\n\n c"},
    {"{% for x in l %}\n  {{ x }}\n{% endfor %}\nend", "  3\n  1\n  2\nend"},
    {"{% for x in l -%}\n  {{ x }}\n{%- endfor %}\nend\n", "312end"},
    {"{% raw %}\n  {{ x }}\n{% endraw %}\nend", "\n  {{ x }}\nend"},
    {"  {% raw %}  {{ x }}\n  {% endraw %}\nend", "  {{ x }}\nend"},
    {"{%- raw -%}\n a {%+ endraw +%}\n b", "a \n b"},
    {"a\r\nb\r{{ 1 }}\r\n", "a\nb\n1"},
    {"\n\n{{ 1 }}\n\n", "\n\n1\n"},
    {"{% set x = 1 %}\n\n{{ x }}", "\n1"},
    {"\t {% set x = 1 %}\t\n{{ x }}", "\t\n1"},
    {"{# a #}\n{# b #}\n{# c #}x", "x"},
    {"{{ 'a\nb' }}\n{{ x }}", "a\nb\n"},
    {"{%\n  set\n  x\n  =\n  1\n%}{{\n x\n}}", "1"},
    {"{% if a %}{% else %}\n  q{% endif %}\n", "  q"},
    {"  {#- x -#}  ", ""},
    {"a{#- x #}\n b", "a b"},
    {"{% macro m(a) %}\n  [{{ a }}]\n{% endmacro %}\n{{ m(1) }}{{ m(2) }}", "  [1]\n  [2]\n"},
    {"{% macro m(a) -%}\n  [{{ a }}]\n{%- endmacro %}\n{{- m(1) }}|{{ m(2) -}}  \n z", "[1]|[2]z"},
    {"{% set t %}\n  a\n  b\n{% endset %}[{{ t }}]", "[  a\n  b\n]"},
    {"{% filter indent(2) %}\na\nb\n{% endfilter %}", "a\n  b\n"},
    {"<{{ '{{' }}{{ '}}' }}{{ {'a': {'b': 1}} }}{{ {'a': {}}}}>", "<{{}}{'a': {'b': 1}}{'a': {}}>"},
    {"{{ {'a': 1}['a'] }}{%- if {'x': 1}.x %}y{% endif %}", "1y"},
    {"{ { } } {% if true %}{ {% endif %}} # %} }} #}", "{ { } } { } # %} }} #}"},
    {"{{-1}}{{ -1 }}{{+ 1}}{{- 1}}{{-  - 1}}", "1-111-1"},
    {"{%if true%}a{%endif%}{%-if true-%}b{%-endif-%}", "ab"},
    {"\302\240 {%- if true %}x{% endif %}\343\200\200{{- 1 }}", "x1"},
    {"a\342\200\250  {% if true %}x{% endif %}", "a\342\200\250  x"},
    {"a\013  {% if true %}x{% endif %}\014\n", "a\013  x\014"},
    {"{% for i in range(3) %}\n  {% if i == 1 %}\n    one\n  {% elif i == 2 %}\n    two\n  {% else "
     "%}\n    zero\n  {% endif %}\n{% endfor %}\n",
     "    zero\n    one\n    two\n"},
    {"{#\n{{ a }}\n{% b %}\n-#}\n\n x", "x"},
    {"{% set s = 'a' %}\n{%- set t = 'b' -%}\n{{ s ~ t }}\n\n\n", "ab\n\n"},
    {"{{ messages | tojson(indent=4) | indent(8) }}",
     "[\n            {\n                \"role\": \"system\",\n                \"content\": \"Be "
     "brief.\"\n            },\n            {\n                \"role\": \"user\",\n               "
     " \"content\": \"Hi <b>\"\n            },\n            {\n                \"role\": "
     "\"assistant\",\n                \"content\": \"Hello\",\n                \"tool_calls\": [\n "
     "                   {\n                        \"id\": \"a1\",\n                        "
     "\"function\": {\n                            \"name\": \"f\",\n                            "
     "\"arguments\": {\n                                \"x\": 1,\n                                "
     "\"y\": [\n                                    1.5,\n                                    "
     "null,\n                                    true\n                                ]\n         "
     "                   }\n                        }\n                    }\n                ]\n  "
     "          }\n        ]"},
    {"{{ multi | indent(4, true) | replace(' ', '.') }}",
     "....line.one\n......line.two\n\n....line.four"},
    {"{{ [1,\n 2,\n 3] | join(',\n') }}", "1,\n2,\n3"},
    {"{% for m in messages %}{{ loop.index }}. {{ m['role'] | capitalize }}: {{ m.content | "
     "default('(none)', true) | trim }}\n{% endfor %}",
     "1. System: Be brief.\n2. User: Hi <b>\n3. Assistant: Hello\n"},
    {"{% set ns = namespace(found=false) %}{% for m in messages if m.role == 'user' %}{% set "
     "ns.found = true %}{% endfor %}{{ ns.found }}",
     "True"},
    {"{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}B{% endmacro %}{{ a() }}", "B"},
    {"{% macro a(x) %}{% if x > 0 %}{{ x }}{{ a(x - 1) }}{% endif %}{% endmacro %}{{ a(5) }}",
     "54321"},
    {"{% set x = 1 %}{% macro a() %}{% set x = 2 %}{{ x }}{% endmacro %}{{ a() }}{{ x }}", "21"},
    {"{% macro a() %}{{ x }}{% endmacro %}{% for x in [1] %}{{ a() }}{% endfor %}|", "|"},
    {"{% set x = 0 %}{% if true %}{% set x = 1 %}{% endif %}{{ x }}{% for i in [1] %}{% if true "
     "%}{% set x = 2 %}{% endif %}{{ x }}{% endfor %}{{ x }}",
     "121"},
    {"{% for i in [1,2] %}{% for j in [1,2] %}{% if j == 2 %}{% break %}{% endif %}{{ i }}{{ j "
     "}}{% endfor %};{% endfor %}",
     "11;21;"},
    {"{% for i in l %}{% set a %}{% if i == 1 %}{% continue %}{% endif %}x{{ i }}{% endset %}[{{ a "
     "}}]{% endfor %}",
     "[x3][x2]"},
    {"{% with %}{% set x = 5 %}{{ x }}{% endwith %}{{ x }}", "5"},
    {"{% filter upper %}{% set x = 5 %}{{ x }}a{% endfilter %}{{ x }}", "5A"},
    {"{% if x is not defined %}{% set x = 'dflt' %}{% endif %}{{ x }}", "dflt"},
    {"{% set messages = messages[1:] %}{{ messages | length }}{% for m in messages %}{{ m.role "
     "}}{% endfor %}",
     "2userassistant"},
    {"{% for m in messages %}{% set messages = [] %}{{ messages|length }}{% endfor %}{{ "
     "messages|length }}",
     "0003"},
    {"{% for i in range(5) if i is odd %}{{ loop.first }}{{ loop.last }}{{ loop.revindex }}{% "
     "endfor %}",
     "TrueFalse2FalseTrue1"},
    {"{% for i in l|map('string') %}{{ loop.length }}{{ loop.last }}{{ i }}{% endfor %}",
     "3False33False13True2"},
    {"{% for i in l|select('odd') %}{{ loop.nextitem }}{{ loop.length }}{{ i }}{% endfor %}",
     "12321"},
    {"{% set g = l|select('odd') %}{{ g|list }}{{ g|list }}", "[3, 1][]"},
    {"{% set ns = namespace(n=0) %}{% macro inc() %}{% set ns.n = ns.n + 1 %}{% endmacro %}{{ "
     "inc() }}{{ inc() }}{{ ns.n }}",
     "2"},
    {"{% set ns = namespace(n=0) %}{% for x in l if ns.n < 1 %}{% set ns.n = ns.n + 1 %}{{ x }}{% "
     "endfor %}",
     "3"},
    {"{% set ns = namespace(n=0) %}{% for x in l if ns.n < 1 %}{{ loop.last }}{% set ns.n = ns.n + "
     "1 %}{{ x }}{% endfor %}",
     "False3True1"},
    {"{{ 'x' if messages is string else 'y' }}{{ messages is iterable and messages is not string "
     "and messages is not mapping }}",
     "yTrue"},
    {"{% for type in ['a','b'] %}{{ type }}{% endfor %}{{ type is defined }}", "abFalse"},
    {"{% set loop = 5 %}{{ loop }}{% for x in [1] %}{{ loop.index }}{% endfor %}{{ loop }}", "515"},
    {"{% macro outer() %}{% macro inner() %}I{{ caller is defined }}{% endmacro %}{{ inner() }}{% "
     "endmacro %}{{ outer() }}",
     "IFalse"},
    {"{% macro a(x) %}{{ x }}{{ kwargs.y }}{{ kwargs|length }}{% endmacro %}{{ a(1, y=2) }}{{ "
     "a(y=3, x=1, z=5) }}",
     "121132"},
    {"{% macro r(n) %}{{ n }}{% if n < 3 %}{{ r(n+1) }}{% endif %}{% endmacro %}{{ r(0) }}",
     "0123"},
    {"{% set x = [] %}{% set x = x + [1] %}{% set x = x + [{'a': 1}] %}{{ x }}", "[1, {'a': 1}]"},
    {"{%- set x = {'a': [1, 2, {'b': none}]} -%}{{ x.a[2].b is none }}{{ x['a'][-1] }}",
     "True{'b': None}"},
    {"{% block a %}{% set z = 1 %}{{ z }}{% endblock %}{{ z }}", "1"},
    {"{{ varargs }}", ""},
    {"{% for a in [[1,[2,[3]]]] recursive %}{% for b in a %}{{ b if b is not iterable else "
     "loop.index }}{% endfor %}{% endfor %}",
     "12"},
    {"{%- for t in [{'n':'a','c':[{'n':'b'}]},{'n':'c'}] recursive %}{{ t.n }}{{ loop.depth }}{{ "
     "loop.first }}{% if t.c %}({{ loop(t.c) }}){% endif %}{% endfor %}",
     "a1True(b2True)c1False"},
};

constexpr Fails kFailingStatements[] = {
    {"{% set _ = d.pop('a') %}{{ d }}",
     "SecurityError: access to attribute 'pop' of 'dict' object is unsafe."},
    {"{% for a, b in [1] %}{% endfor %}", "TypeError: cannot unpack non-iterable int object"},
    {"{% for a, b in [(1,2,3)] %}{% endfor %}",
     "ValueError: too many values to unpack (expected 2)"},
    {"{% for a, b in [(1,)] %}{% endfor %}",
     "ValueError: not enough values to unpack (expected 2, got 1)"},
    {"{% for x in 5 %}{% endfor %}", "TypeError: 'int' object is not iterable"},
    {"{% for x in none %}{% endfor %}", "TypeError: 'NoneType' object is not iterable"},
    {"{% for x in l %}{{ loop(l) }}{% endfor %}",
     "TypeError: The loop must have the 'recursive' marker to be called recursively."},
    {"{% set d.x = 1 %}", "TemplateRuntimeError: cannot assign attribute on non-namespace object"},
    {"{% set q.x = 1 %}", "TemplateRuntimeError: cannot assign attribute on non-namespace object"},
    {"{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1,2) }}",
     "TypeError: macro 'm' takes not more than 1 argument(s)"},
    {"{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=2) }}",
     "TypeError: macro 'm' takes no keyword argument 'z'"},
    {"{% macro m(a) %}{{ a.x }}{% endmacro %}{{ m() }}",
     "UndefinedError: parameter 'a' was not provided"},
    {"{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}",
     "TypeError: macro 'm' takes no keyword argument 'caller'"},
    {"{% if %}{% endif %}",
     "TemplateSyntaxError: Expected an expression, got 'end of statement block'"},
    {"{% if true %}",
     "TemplateSyntaxError: Unexpected end of template. Jinja was looking for: 'elif' or 'else' or "
     "'endif'."},
    {"{% for x in l %}{% endif %}",
     "TemplateSyntaxError: Encountered unknown tag 'endif'. Jinja was looking for: 'endfor' or "
     "'else'."},
    {"{% endif %}", "TemplateSyntaxError: Encountered unknown tag 'endif'."},
    {"{% unknown %}", "TemplateSyntaxError: Encountered unknown tag 'unknown'."},
    {"{# unterminated", "TemplateSyntaxError: Missing end of comment tag"},
    {"{% raw %} x", "TemplateSyntaxError: Missing end of raw directive"},
    {"{% set 1 = 2 %}", "TemplateSyntaxError: can't assign to 'integer'"},
    {"{% set x %}",
     "TemplateSyntaxError: Unexpected end of template. Jinja was looking for: 'endset'."},
    {"{% for x l %}{% endfor %}", "TemplateSyntaxError: expected token 'in', got 'l'"},
    {"{% break %}", "TemplateSyntaxError: 'break' outside loop"},
    {"{% macro m() %}{% break %}{% endmacro %}", "TemplateSyntaxError: 'break' outside loop"},
    {"{% do 1 %}", "TemplateSyntaxError: Encountered unknown tag 'do'."},
    {"{% include 'x' %}", "TypeError: no loader for this environment specified"},
    {"text {% without end", "TemplateSyntaxError: Encountered unknown tag 'without'."},
    {"a {{ b",
     "TemplateSyntaxError: unexpected end of template, expected 'end of print statement'."},
    {"line1\nline2 {{ raise_exception('boom') }}\n", "boom"},
    {"{% call(x) m() %}\n{% endcall %}", "UndefinedError: 'm' is undefined"},
    {"{% macro a() %}{{ b() }}{% endmacro %}{{ a() }}{% macro b() %}B{% endmacro %}",
     "UndefinedError: 'b' is undefined"},
    {"{% for loop in [1] %}{{ loop }}{% endfor %}",
     "TemplateSyntaxError: Can't assign to special loop variable in for-loop target"},
    {"{% macro a(caller) %}{{ caller }}{% endmacro %}{{ a(1) }}",
     "TemplateSyntaxError: the special \"caller\" argument must be omitted or be given a default"},
    {"{{ caller() }}", "UndefinedError: 'caller' is undefined"},
};

TEST(JinjaStatement, GivesTheTextOfJinja2) {
  expect_renders(kStatements);
}

TEST(JinjaStatement, FailsWhereJinja2Fails) {
  expect_fails(kFailingStatements);
}

}  // namespace
}  // namespace inferno::token::jinja
