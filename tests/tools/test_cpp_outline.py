"""The outline finds functions, their lengths and parameters in the project's style of C++."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
from cpp_outline import blank, outline  # noqa: E402


def names(text):
    return [(function.name, len(function.parameters)) for function in outline(text)]


def test_a_function_body_counts_its_lines_from_signature_to_brace():
    [function] = outline("namespace a {\n\nint f(int x,\n      int y) {\n  return x;\n}\n\n}\n")
    assert (function.name, function.line, function.body_lines) == ("f", 3, 4)


def test_control_flow_and_calls_inside_a_body_are_no_functions():
    assert names("void f() {\n  if (a) { g(1, 2); }\n  for (;;) { h(); }\n}\n") == [("f", 0)]


def test_methods_constructors_and_operators_of_a_class_are_found():
    text = """class A final : public B<int> {
 public:
  explicit A(int x) : x_{x}, y_(0) { run(); }
  ~A();
  bool operator()(int a, int b) const { return a < b; }
  A& operator=(const A&) = delete;
  std::map<int, int> of(std::map<int, int> m = {{1, 2}}, int b = 3) const noexcept;

 private:
  int x_ = 0;
  std::vector<int> y_{1, 2};
};
"""
    assert names(text) == [("A", 1), ("~A", 0), ("operator()", 2), ("operator=", 1), ("of", 2)]


def test_function_pointers_count_what_they_point_to():
    assert names("struct T {\n  void (*run)(int a, float* b, int c);\n};\n") == [("run", 3)]


def test_templates_and_trailing_return_types():
    text = "template <typename T, int N = 3>\nauto f(T a, std::pair<int, T> b) -> int {\n}\n"
    assert names(text) == [("f", 2)]


def test_braces_in_comments_and_literals_do_not_count():
    text = ('void f() {\n  // }\n  const char* a = "}{"; char b = \'{\'; auto c = R"x(}})x";\n}\n'
            'void g() {}\n')
    assert names(text) == [("f", 0), ("g", 0)]


def test_a_lambda_variable_and_an_enum_are_no_functions():
    assert names("const auto f = [](int a) { return a; };\nenum class E { kA, kB };\n") == []


def test_a_test_is_named_by_its_suite_and_fact():
    [function] = outline("TEST(BlockPool, EvictsLongestIdleFirst) {\n  EXPECT_EQ(1, 1);\n}\n")
    assert function.name == "BlockPool.EvictsLongestIdleFirst"


def test_blanking_keeps_every_line_where_it_was():
    text = '#define X \\\n  {\nint a = 1\'000; /* {\n*/ const char* s = "a\\"{";\n'
    clean = blank(text)
    assert clean.count("\n") == text.count("\n") and "{" not in clean and "1'000" in clean
