"""Calls of tools as they are shown: one line that says what was called and what came of it, and all of it behind."""

from __future__ import annotations

import json
from typing import Any, Final

from dsnb.client.tool_call import ToolCall
from dsnb.display import page, summary, text, twin
from dsnb.display.parts import Part, indented

_LONGEST_RESULT: Final = 20_000  # characters: the notebook is not where large results are kept
_DEEPEST: Final = 12  # levels of JSON that are laid out; each line of a deeper one would be indentation


def call(called: ToolCall, *, clocked: bool = True) -> Part:
    """Return a call with its arguments and its result, folded; ``clocked`` tells how long it took, if that is known."""
    html = f"<code>{text.html_code(_signature(called))}</code>"
    markdown = f"<code>{text.entities(_signature(called))}</code>"
    plain = f"{text.line(called.name)}({text.legible(called.arguments)})"
    body = _body(called)
    if called.result is not None:
        failed, took, said = bool(called.failed), _took(called) if clocked else "", gist(called)
        html += f"{' <em>failed</em>' if failed else ''}{took} → {text.html(said)}"
        markdown += f"{' failed' if failed else ''}{took} → {text.markdown_html(said)}"
        plain += f"{' failed' if failed else ''}{took}\n  → {indented(_shown(called.result), '    ').lstrip()}"
    return Part(
        f'<details class="dsnb-call"><summary>{html}</summary>\n<div>{_html(body)}</div></details>',
        "\n\n".join([f"<details><summary>{markdown}</summary>", *_markdown(body), "</details>"]),
        plain,
    )


def outcome(called: ToolCall) -> dict[str, Any]:
    """Return a call that has its result, for a page that shows it as it is shown in the end; all of it is text."""
    return {
        "call": _signature(called),
        "failed": bool(called.failed),
        "gist": f"{_took(called)} → {gist(called)}",
        "body": [(name, text.legible(content)) for name, (content, _) in _body(called)],
    }


def gist(called: ToolCall, limit: int = 80) -> str:
    """Return a result in one line, of a failed call what it says was wrong."""
    told = _parsed(called.result) if called.failed and isinstance(called.result, str) else None
    if isinstance(told, dict) and isinstance(told.get("error"), str):
        return text.line(told["error"], limit)
    return text.line(_shown(called.result), limit)


def orphan(name: str, content: str) -> Part:
    """Return the result of a call that is not there."""
    first, body = text.line(content), [("result", _result(content))]
    return Part(
        f'<details class="dsnb-call"><summary><code>{text.html_code(name)}</code> → {text.html(first)}</summary>\n'
        f"<div>{_html(body)}</div></details>",
        "\n\n".join(
            [
                f"<details><summary><code>{text.entities(name)}</code> → {text.markdown_html(first)}</summary>",
                *_markdown(body),
                "</details>",
            ]
        ),
        f"{name}\n  → {indented(_shown(content), '    ').lstrip()}",
    )


def refused(answer: str) -> Part:
    """Return an answer that was not the JSON that had been asked for, and so was asked for again."""
    label, first = "no JSON of the form asked for, so asked again", summary.first_line(answer)
    return Part(
        f'<details class="dsnb-call"><summary>{label} <i>{text.html(first)}</i></summary>\n'
        f"<div>{page.code(_shown(answer), '')}</div></details>",
        "\n\n".join(
            [
                f"<details><summary>{label} <i>{text.markdown_html(first)}</i></summary>",
                twin.fence(_shown(answer)),
                "</details>",
            ]
        ),
        f"{label}\n{indented(_shown(answer))}",
    )


def _html(body: list[tuple[str, tuple[str, str]]]) -> str:
    return "".join(f"<p><small>{name}</small></p>\n{page.code(*code)}" for name, code in body)


def _markdown(body: list[tuple[str, tuple[str, str]]]) -> list[str]:
    return [piece for name, code in body for piece in (name, twin.fence(*code))]


def _signature(called: ToolCall) -> str:
    """Return a call as Python would write it, in one line."""
    arguments = _parsed(called.arguments)
    if not isinstance(arguments, dict):
        return f"{text.line(called.name)}({text.line(called.arguments, 60)})"
    given = ", ".join(f"{name}={_json(value)}" for name, value in arguments.items())
    return text.line(f"{called.name}({given})")


def _body(called: ToolCall) -> list[tuple[str, tuple[str, str]]]:
    """Return what is behind the line of a call: names, and each a text and its language."""
    arguments = ("arguments", _laid_out(called.arguments))
    return [arguments] if called.result is None else [arguments, ("result", _result(called.result))]


def _took(called: ToolCall) -> str:
    return "" if called.seconds is None else f" · {summary.seconds(called.seconds)}"


def _result(result: Any) -> tuple[str, str]:
    """Return a result as it is to be read, and its language: objects and lists laid out, all else as it is."""
    shown = _shown(result)
    return _laid_out(shown) if shown.startswith(("{", "[")) else (shown, "")


def _laid_out(source: str) -> tuple[str, str]:
    """Return JSON with a line for each thing, and its language; what is none, or deep, as it is."""
    value = _parsed(source)
    if value is None:
        return source, ""
    return (source if _deep(value) else _json(value, indent=2)), "json"


def _deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return bool(level)


def _parsed(source: str) -> Any:
    try:
        return json.loads(source)
    except (ValueError, RecursionError):
        return None


def _shown(result: Any) -> str:
    shown = result if isinstance(result, str) else _json(result)
    if len(shown) <= _LONGEST_RESULT:
        return shown
    return f"{shown[:_LONGEST_RESULT]}\n… ({len(shown) - _LONGEST_RESULT:,} characters more)"


def _json(value: Any, indent: int | None = None) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent, default=repr)
    except (ValueError, TypeError, RecursionError):
        return repr(value)
