"""What the default engine writes into a gap: honest, never empty, and readable where the code around it is."""

import ast
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsnb.emulator.engines.infill import infill

PYTHON = [
    ("def fib(a):", "    return fib(a-1) + fib(a-2)"),
    ("def fib(a):\n", "    return 1\n"),
    ("def fib(a):\n    ", "\n    return 1\n"),
    ("def fib(a):\n    ", "return 1\n"),
    ("def fib(a):", ""),
    ("def fib(a):\n    ", ""),
    ("def fib(a):\n", "\n\ndef other():\n    return 1\n"),
    ("def f():\n\treturn 1\n\ndef g():\n", ""),
    ("class A:\n    def f(self):\n        ", "\n\n    def g(self):\n        return 1\n"),
    ("class A:\n    def f(self):", "\n    def g(self):\n        return 1\n"),
    ("if x:\n    y = 1\nelse:", "\nz = 2\n"),
    ("for i in range(3):\n    # print it", ""),
    ("def f():  # note", "\n    return 1\n"),
    ("x = ", "\nprint(x)\n"),
    ("x =", ""),
    ("x = a", " + b\n"),
    ("foo(", ")\n"),
    ("foo(a, ", ")\n"),
    ("foo(a", ", b)\n"),
    ("def ", "(a):\n    return a\n"),
    ("def fib", "(a):\n    return a\n"),
    ("def fib(", ") -> int:\n    return a\n"),
    ("def f(x):\n    return x.", "\n"),
    ("def f(x):\n    return", " + 1\n"),
    ("import ", "\n"),
    ("import os\n", "\nprint(os.sep)\n"),
    ("xs = [\n    1,\n    ", "\n]\n"),
    ("# sort the list\nxs = [3, 1]\n", ""),
    ("xs = [3, 1]", "\nprint(xs)\n"),
    ('def f():\n    """Return ', '\n    """\n    return 1\n'),
    ('def f():\n    """', "\n    return 1\n"),
    ("def f():\n    '''Return", ""),
    ('print("Hello ', '")\n'),
    ("from math import sin\ny = sin(", ")\n"),
]


@pytest.mark.parametrize(("prompt", "suffix"), PYTHON)
def test_python_stays_readable(prompt, suffix):
    middle = infill(prompt, suffix)
    ast.parse(prompt + middle + suffix)
    assert "emulat" in middle


def test_a_block_that_the_suffix_fills_gets_a_comment_and_an_empty_one_a_statement():
    note = "Filled in by the dsnb emulator, not by a model: 11 characters before"
    filled = infill("def fib(a):", "    return 1")
    assert filled == f"\n    # {note}, 12 characters after.\n"
    empty = infill("def fib(a):", "")
    assert empty == f"\n    pass  # {note}, 0 characters after.\n"


BRACES = [
    ("function add(a, b) {\n  ", "\n}\n", "// Filled in"),
    ("function add(a, b) {\n  return ", ";\n}\n", "emulated_by_dsnb"),
    ("const x = ", ";\n", "emulated_by_dsnb"),
    ("int main(void) {\n    int x =", "\n    return x;\n}\n", " 0;  // Filled in"),
    ("#include <stdio.h>\n\nint main(void) {\n    ", "\n    return 0;\n}\n", "// Filled in"),
    ("SELECT ", "\nFROM t;", "emulated_by_dsnb"),
]


@pytest.mark.parametrize(("prompt", "suffix", "begin"), BRACES)
def test_other_languages_get_their_own_comments(prompt, suffix, begin):
    assert infill(prompt, suffix).startswith(begin)


def test_braces_without_a_suffix_are_closed():
    middle = infill("int main(void) {\n    if (x) {\n        ", "")
    assert middle.startswith("// Filled in by the dsnb emulator")
    assert middle.endswith(".\n    }\n}\n")


@pytest.mark.parametrize(("prompt", "suffix"), [("Once upon a time,", ""), ("Dear Bob,\n\n", "\n\nYours"), ("", "")])
def test_prose_gets_a_sentence(prompt, suffix):
    middle = infill(prompt, suffix)
    assert "[The dsnb emulator fills this gap, and no model: " in middle
    assert middle.startswith(" ") is (prompt[-1:] == ",")


SOURCE = textwrap.dedent(
    '''
    import os
    from math import sqrt


    class Circle:
        """A circle."""

        def __init__(self, radius):
            self.radius = radius  # metres

        def area(self, scale=1):
            if self.radius < 0:
                raise ValueError("a radius is not negative")
            return 3.14 * self.radius ** 2 * scale


    def main():
        for name in os.listdir("."):
            print(name, sqrt(2))
    '''
)
LINES = SOURCE.splitlines(keepends=True)


@pytest.mark.parametrize(
    "line", [n for n, text in enumerate(LINES) if text.strip() and not text.rstrip().endswith(":")]
)
@pytest.mark.parametrize("newline", [True, False])
def test_a_program_that_lost_any_line_can_be_read_again(line, newline):
    before, after = "".join(LINES[:line]), "".join(LINES[line + 1 :])
    middle = infill(before, ("\n" if newline else "") + after)
    ast.parse(before + middle + ("\n" if newline else "") + after)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_gap_is_filled(prompt, suffix):
    middle = infill(prompt, suffix)
    assert middle
    assert middle == infill(prompt, suffix)


@given(st.integers(0, len(SOURCE)), st.integers(0, len(SOURCE)))
def test_any_hole_in_a_program_is_filled(start, end):
    start, end = sorted((start, end))
    assert infill(SOURCE[:start], SOURCE[end:])
