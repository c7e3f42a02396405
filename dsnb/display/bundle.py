"""A reply as Jupyter stores it: html, Markdown and plain text that say the same, and need no kernel to be read.

The html carries its style with it and reads well without, since GitHub, mail and untrusted notebooks take styles and
classes away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any, Final

from dsnb.client.reply import Reply
from dsnb.client.tool_call import ToolCall
from dsnb.display import markdown as md
from dsnb.display import page, summary, text, twin
from dsnb.errors import DsnbError

_LONGEST_RESULT: Final = 20_000  # characters: the notebook is not where large results are kept


def bundle(reply: Reply, error: DsnbError | None = None) -> dict[str, str]:
    """Return the representations of a reply by MIME type; ``error`` says why it is only a part.

    What the model, the tools and the endpoint wrote is shown and never obeyed: no markup, no scripts, no images, no
    links but to http, https and mailto.
    """
    html, markdown = [], []
    if reply.reasoning:
        thoughts = md.blocks(reply.reasoning, breaks=True)
        html.append(_html_reasoning(reply, thoughts))
        markdown.append(_markdown_reasoning(reply, thoughts))
    html += map(_html_call, reply.tool_calls)
    markdown += map(_markdown_call, reply.tool_calls)
    if reply.answer:
        answer = md.blocks(reply.answer)
        html.append(f'<div class="dsnb-answer">{"".join(block.html for block in answer)}</div>')
        markdown += [block.markdown for block in answer]
    return {
        "text/html": "\n".join([_html_head(reply, error), *html, *_html_foot(reply, error), "</div>"]),
        "text/markdown": "\n\n".join([_markdown_head(reply, error), *markdown, *_markdown_foot(reply, error)]),
        "text/plain": "\n\n".join(_plain(reply, error)),
    }


@cache
def style() -> str:
    """Return the style sheet of the html, made small."""
    css = resources.files("dsnb.display").joinpath("static.css").read_text("utf-8")
    css = " ".join(re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL).split())
    return re.sub(r" ?([{};:,>]) ?", r"\1", css).replace(";}", "}")


def figures_line(reply: Reply) -> str:
    """Return the tokens, cost and times of a reply as one line of text."""
    share = summary.cached_share(reply.usage)
    bar = f" {summary.bar(share)}" if share else ""
    return " · ".join(f"{name} {value}{bar if name == 'cached' else ''}" for name, value in summary.figures(reply))


def _ending(reply: Reply, error: DsnbError | None) -> str:
    return "failed" if error is not None else summary.ending(reply)


def _html_head(reply: Reply, error: DsnbError | None) -> str:
    model, *others = map(text.html, summary.who(reply))
    if ending := _ending(reply, error):
        others.append(f"<em>{text.html(ending)}</em>")
    words = " · ".join([f"<b>{model}</b>", *others])
    return f'<div class="dsnb"><style>{style()}</style>\n<p class="dsnb-head"><small>{words}</small></p>'


def _html_reasoning(reply: Reply, thoughts: list[md.Block]) -> str:
    beginning = text.html(summary.first_line(reply.reasoning or ""))
    opened = "" if reply.answer or reply.tool_calls else " open"  # there is nothing else to read
    return (
        f'<details class="dsnb-reasoning"{opened}><summary>{summary.thought(reply)} <i>{beginning}</i></summary>\n'
        f"<div>{''.join(block.html for block in thoughts)}</div></details>"
    )


def _html_call(call: ToolCall) -> str:
    result = f" → {text.html(text.line(_shown(call.result)))}" if call.result is not None else ""
    body = f"<p><small>arguments</small></p>\n{page.code(*_arguments(call))}"
    if call.result is not None:
        body += f"<p><small>result</small></p>\n{page.code(_shown(call.result), '')}"
    return (
        f'<details class="dsnb-call"><summary><code>{text.html_code(_signature(call))}</code>{result}</summary>\n'
        f"<div>{body}</div></details>"
    )


def _html_foot(reply: Reply, error: DsnbError | None) -> Iterator[str]:
    if error is not None:
        words = "<br>\n".join(map(text.html, str(error).splitlines()))
        yield f'<p class="dsnb-error"><b>{type(error).__name__}</b>: {words}</p>'
    for note in _notes(reply):
        yield f'<p class="dsnb-note"><small>{text.html(note)}</small></p>'
    share = summary.cached_share(reply.usage)
    bar = f' <span class="dsnb-bar" style="background-size: {share:.0%} 100%"></span>' if share else ""
    words = " · ".join(
        f"<span>{name} <b>{text.html(value)}</b>{bar if name == 'cached' else ''}</span>"
        for name, value in summary.figures(reply)
    )
    if words:
        yield f'<p class="dsnb-figures"><small>{words}</small></p>'


def _markdown_head(reply: Reply, error: DsnbError | None) -> str:
    model, *others = map(text.markdown, summary.who(reply))
    if ending := _ending(reply, error):
        others.append(f"*{text.markdown(ending)}*")
    return " · ".join([f"**{model}**", *others])


def _markdown_reasoning(reply: Reply, thoughts: list[md.Block]) -> str:
    beginning = text.markdown_html(summary.first_line(reply.reasoning or ""))
    head = f"<details><summary>{summary.thought(reply)} <i>{beginning}</i></summary>"
    return "\n\n".join([head, *(block.markdown for block in thoughts), "</details>"])


def _markdown_call(call: ToolCall) -> str:
    result = f" → {text.markdown_html(text.line(_shown(call.result)))}" if call.result is not None else ""
    name = text.entities(text.line(_signature(call)))
    parts = [f"<details><summary><code>{name}</code>{result}</summary>", "arguments", twin.fence(*_arguments(call))]
    if call.result is not None:
        parts += ["result", twin.fence(_shown(call.result))]
    return "\n\n".join([*parts, "</details>"])


def _markdown_foot(reply: Reply, error: DsnbError | None) -> Iterator[str]:
    if error is not None:
        words = "\\\n".join(map(text.markdown, str(error).splitlines()))
        yield f"**{type(error).__name__}**: {words}"
    for note in _notes(reply):
        yield f"*{text.markdown(note)}*"
    if figures := figures_line(reply):
        yield text.markdown(figures)


def _plain(reply: Reply, error: DsnbError | None) -> Iterator[str]:
    yield " · ".join([*summary.who(reply), *filter(None, [_ending(reply, error)])])
    if reply.reasoning:
        yield f"{summary.thought(reply)}\n{_indented(reply.reasoning)}"
    for call in reply.tool_calls:
        result = f"\n  → {_indented(_shown(call.result), '    ').lstrip()}" if call.result is not None else ""
        yield f"{text.line(call.name)}({text.legible(call.arguments)}){result}"
    if reply.answer:
        yield text.legible(reply.answer)
    if error is not None:
        yield f"{type(error).__name__}: {text.legible(str(error))}"
    yield from _notes(reply)
    if figures := figures_line(reply):
        yield figures


def _indented(content: str, prefix: str = "│ ") -> str:
    return "\n".join(f"{prefix}{row}".rstrip() for row in text.legible(content).split("\n"))


def _notes(reply: Reply) -> Iterator[str]:
    for note in reply.notes:
        yield f"{note.message} {note.mend}"


def _signature(call: ToolCall) -> str:
    """Return a call as Python would write it, in one line."""
    arguments = _parsed(call.arguments)
    if not isinstance(arguments, dict):
        return f"{call.name}({text.line(call.arguments, 60)})"
    return text.line(f"{call.name}({', '.join(f'{name}={_json(value)}' for name, value in arguments.items())})")


def _arguments(call: ToolCall) -> tuple[str, str]:
    """Return the arguments as they are to be read, and the language that they are in."""
    arguments = _parsed(call.arguments)
    return (call.arguments, "") if arguments is None else (_json(arguments, indent=2), "json")


def _parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments)
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
