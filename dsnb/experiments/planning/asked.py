"""What was asked, or will be: the kinds in which people say it, read as one request of the API or several."""

from __future__ import annotations

import marshal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from operator import is_
from typing import Any, Final

from dsnb.client.credentials import Secret
from dsnb.client.endpoint import DEEPSEEK_API, Endpoint
from dsnb.client.reply import Reply
from dsnb.client.request import Request, messages_of
from dsnb.client.timeouts import Timeouts
from dsnb.contract import Contract, Finding, Model, Settings, at
from dsnb.contract.passback import rendered
from dsnb.contract.settings import settings
from dsnb.conversation import Conversation
from dsnb.errors import RequestError, RetiredModel
from dsnb.experiments.planning.spoken import CONVERSATIONS, Spoken
from dsnb.question import Question
from dsnb.tools import Tool

_ANYWHERE: Final = Endpoint(DEEPSEEK_API, Secret(""))  # where requests go that are not sent
_UNLIMITED: Final = Timeouts()
_NOT_ASKED: Final = ("render", "lint", "deadline", "max_rounds", "into")  # keywords of ask that no request shows
_PROMPTS: Final = ("messages", "prompt", "prompt_or_messages")
_QUESTION: Final = ({"role": "user", "content": "?"},)  # stands where the messages do not matter


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Hold what a request is but for its messages; ``options`` are the keywords that it was made of.

    Two that ``meant`` the same, in the same words, write the same messages as the same prompt.
    """

    options: Mapping[str, Any]
    path: str
    body: Mapping[str, Any]
    model: Model
    settings: Settings
    notes: tuple[Finding, ...]
    meant: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "meant", repr(self.settings))  # once, for it is long where there are tools

    @property
    def user(self) -> str | None:
        """The user id, whose requests share a cache; None where there is none."""
        user = self.body.get("user_id")
        return user if isinstance(user, str) else None


# An earlier request as an Asked holds it: there may be hundreds, and few of them are looked at.
Past = tuple[Frame, Sequence[Mapping[str, Any]], Reply | None]


@dataclass(slots=True)
class Asked:
    """Hold one request, and what came of it where that is known. ``messages`` are not copied."""

    frame: Frame
    messages: Sequence[Mapping[str, Any]]
    reply: Reply | None = None

    @property
    def past(self) -> Past:
        """The request as one that was made before another."""
        return self.frame, self.messages, self.reply

    @property
    def request(self) -> Request:
        """The request as it would be sent."""
        return Request(self.frame.path, {**self.frame.body, "messages": list(self.messages)})


@dataclass
class Reading:
    """Read requests under one contract.

    ``options`` are the keywords of those that have none of their own, and ``model`` is asked where none is named.
    """

    contract: Contract
    options: Mapping[str, Any]
    model: str
    _frames: list[tuple[Mapping[str, Any], Frame]] = field(default_factory=list)  # of which keywords

    def __post_init__(self) -> None:
        self._read: tuple[dict[str, Any], dict[str, Any]] = ({}, self._over({}))  # keywords read last, with a model
        self._shared = self._over(self.options)
        self._heard: tuple[Conversation, Spoken] | None = None  # the conversation that was read last

    def one(self, given: Any, follow: Any = None) -> Asked:
        """Return the request that is given; ``follow`` is what comes next in a conversation."""
        if isinstance(given, Conversation):
            return self._of_conversation(given, follow)
        if follow is not None:
            raise RequestError("A next prompt goes with a Conversation: write plan(chat, 'And now?').")
        return Asked(*(self._of_keywords(given) if isinstance(given, Mapping) else self._past(given, self._shared)))

    def many(self, given: Any) -> list[Past]:
        """Return earlier requests, oldest first; a reply belongs to the one before it."""
        found: list[Past] = []
        plain: Frame | None = None
        for item in [given] if isinstance(given, (str, dict, Mapping, Conversation, Reply)) else given:
            if type(item) is list and item and type(item[-1]) is dict and "prefix" not in item[-1]:
                if plain is None and (plain := self._frame(self._shared)) is None:
                    found.append(self._past(item, self._shared))
                else:
                    found.append((plain, item, None))
            elif type(item) is dict:
                found.append(self._of_keywords(item))
            elif isinstance(item, Reply):
                if not found:
                    raise RequestError("after=[...] begins with a reply: put the request before it that it answers.")
                frame, messages, _ = found.pop()
                if item.rounds:
                    found += self._answered(frame, messages, item)
                else:
                    found.append((frame, messages, item))
            elif isinstance(item, Conversation):
                found += self.turns(item)
            else:
                found.append((item.asked if hasattr(item, "asked") else self.one(item)).past)
        return found

    def turns(self, chat: Conversation) -> list[Past]:
        """Return the requests that a conversation has made, with their replies."""
        found: list[Past] = []
        of: dict[str, tuple[dict[str, Any], Frame | None, list[dict[str, Any]]]] = {}
        with CONVERSATIONS.lock:
            spoken = self._spoken(chat)
            for reply, place in spoken.rounds:
                if (asked := of.get(reply.asked_model)) is None:
                    options = self._over({**chat.options, "model": reply.asked_model or chat.options.get("model")})
                    frame = self._frame(options)
                    asked = of[reply.asked_model] = options, frame, _told(spoken, frame) if frame else []
                options, frame, told = asked
                if frame and place and "prefix" not in told[place - 1]:
                    found.append((frame, told[:place], reply))
                else:
                    history, prompt = _parted(spoken.messages[:place])
                    found.append((*self._past(prompt, options, history=history)[:2], reply))
        return found

    def _of_conversation(self, chat: Conversation, follow: Any) -> Asked:
        """Return the next request: what was said, rendered for the model, and what comes next, which stays."""
        options = self._over({**chat.options, **self.options})
        history, prompt = (chat.messages, messages_of(follow)) if follow is not None else _parted(chat.messages)
        frame = self._frame(options) if prompt and not _begun(prompt[-1]) else None
        if frame is None or frame.model.generation.reasoning == "tool_loop":
            return Asked(*self._past(prompt, options, history=history))
        with CONVERSATIONS.lock:
            return Asked(frame, [*_told(self._spoken(chat), frame)[: len(history)], *prompt])

    def _spoken(self, chat: Conversation) -> Spoken:
        """Return what a conversation has come to; while it is read here nothing is added to it."""
        if self._heard is None or self._heard[0] is not chat:
            self._heard = chat, CONVERSATIONS.of(chat)
        return self._heard[1]

    def _of_keywords(self, given: Mapping[str, Any]) -> Past:
        for name in _PROMPTS:
            if name in given:
                options = {key: value for key, value in given.items() if key != name}
                known, over = self._read
                if not _identical(known, options):  # those of many requests are the same
                    self._read = _, over = options, self._over(options)
                return self._past(given[name], over)
        if "role" in given:
            raise RequestError("One message is no request: write a list of messages, [{'role': ..., 'content': ...}].")
        raise RequestError(
            f"A request has messages or a prompt, and this one has {', '.join(map(repr, given)) or 'nothing'}: "
            'write {"prompt": "...", "model": ...}, with the keywords of ask.'
        )

    def _over(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return keywords that name a model."""
        named = {key: value for key, value in options.items() if value is not None}
        return {"model": self.options.get("model") or self.model, **named}

    def _answered(self, frame: Frame, messages: Sequence[Mapping[str, Any]], reply: Reply) -> Iterator[Past]:
        """Yield a request with its reply, and the requests that followed in the same turn."""
        yield frame, messages, reply.rounds[0]
        added: list[dict[str, Any]] = []
        for before, each in pairwise(reply.rounds):
            if not before.tool_calls:  # what was then asked to be mended is not in the reply
                return
            added += before.messages
            yield (*self._past(messages, frame.options, added=list(added))[:2], each)

    def _past(
        self,
        messages: Any,
        options: Mapping[str, Any],
        *,
        history: Sequence[Mapping[str, Any]] = (),
        added: Sequence[Mapping[str, Any]] = (),
    ) -> Past:
        """Return a request: with messages as they are if nothing is made of them, else with those that are sent."""
        if type(messages) is list and messages and not _begun(messages[-1]):
            # what must be called is not asked for again once it was, which makes another request
            frame = None if added and options.get("tool_choice") is not None else self._frame(options)
            if frame is not None:
                return frame, _sent(history, messages, added, frame) if history or added else messages, None
        request, notes, model = self._made(messages_of(messages), options, history, added)
        body = dict(request.body)
        return _frame(options, request.path, body, model, notes), body.pop("messages"), None

    def _frame(self, options: Mapping[str, Any]) -> Frame | None:
        """Return the frame of a request whose messages are sent as they are; None if others are made of them."""
        for known, frame in self._frames:
            if known is options or _same_options(known, options):
                return frame
        if options.get("start") or options.get("json") not in (None, False, True):
            return None
        written = _written(options)
        made = self._made_frame(options) if written is None else _known(self.contract.instant, *written)
        self._frames.append((options, made))
        return made

    def _made_frame(self, options: Mapping[str, Any]) -> Frame:
        request, notes, model = self._made(_QUESTION, options, (), ())
        body = {key: value for key, value in request.body.items() if key != "messages"}
        return _frame(options, request.path, body, model, notes)

    def _made(
        self,
        messages: Sequence[Mapping[str, Any]],
        options: Mapping[str, Any],
        history: Sequence[Mapping[str, Any]],
        added: Sequence[Mapping[str, Any]],
    ) -> tuple[Request, tuple[Finding, ...], Model]:
        kept = {key: value for key, value in options.items() if key not in _NOT_ASKED and value is not None}
        given = kept.pop("model")
        if isinstance(switch := kept.get("thinking"), Mapping):  # as the API has it
            kept["thinking"] = {"enabled": True, "disabled": False}.get(switch.get("type", ""))
        name, thinking, changes = self._current(given, kept.pop("thinking", None))
        question = Question(messages, model=name, thinking=thinking, history=history, lint=False, **kept)
        exchange = question.exchange(added, _ANYWHERE, self.contract, _UNLIMITED)
        return (
            exchange.request,
            (*changes, *exchange.reply.notes),
            self.contract.model(str(exchange.request.body["model"])),
        )

    def _current(self, name: str, thinking: bool | None) -> tuple[str, bool | None, tuple[Finding, ...]]:
        """Return the model to ask where ``name`` was retired, as ask does, and a note instead of its warning."""
        try:
            self.contract.model(name)
        except RetiredModel as retired:
            note = Finding(
                rule="plan.retired_model",
                effect="changed",
                where="model",
                message=f"{name} was retired; this is what {retired.replacement} takes.",
                mend=f"Ask for model={retired.replacement!r}.",
                error=None,
                confidence="H",
            )
            return retired.replacement, retired.thinking if thinking is None else thinking, (note,)
        return name, thinking, ()


@lru_cache(maxsize=64)
def _known(instant: datetime, options: bytes, tools: tuple[Tool[..., Any], ...], _schemas: bytes) -> Frame:
    """Return a frame that was made before: planning one conversation makes the same one for every turn."""
    read = marshal.loads(options)  # noqa: S302 — what was written here, and what nobody else can change
    return Reading(at(instant), {}, "")._made_frame(read | ({"tools": list(tools)} if tools else {}))  # noqa: SLF001


def _written(options: Mapping[str, Any]) -> tuple[bytes, tuple[Tool[..., Any], ...], bytes] | None:
    """Return keywords in a form that can be remembered, None where there is none, as for bare functions."""
    tools = options.get("tools")
    if not isinstance(tools, list | tuple) or not all(isinstance(tool, Tool) for tool in tools):
        tools = ()
    plain = {key: value for key, value in options.items() if key != "tools" or not tools}
    schemas = [(tool.name, tool.description, tool.strict, tool.parameters) for tool in tools]
    try:
        return marshal.dumps(plain, 2), tuple(tools), marshal.dumps(schemas, 2)  # the last to share no objects
    except ValueError:  # something that is no plain value
        return None


def _frame(
    options: Mapping[str, Any], path: str, body: Mapping[str, Any], model: Model, notes: tuple[Finding, ...]
) -> Frame:
    return Frame(options, path, body, model, settings(body, model), notes)


def _sent(
    history: Sequence[Mapping[str, Any]],
    messages: Sequence[Mapping[str, Any]],
    added: Sequence[Mapping[str, Any]],
    frame: Frame,
) -> list[Mapping[str, Any]]:
    """Return what a question sends, as `Question` does: all rendered but the messages that were given."""
    given = messages_of(messages)
    sent = _rendered([*history, *given, *added], frame)
    return [*sent[: len(history)], *given, *sent[len(history) + len(given) :]]


def _rendered(messages: Sequence[Mapping[str, Any]], frame: Frame) -> list[dict[str, Any]]:
    return rendered(messages, frame.model, thinking=frame.settings.thinking, tools=bool(frame.body.get("tools")))


def _told(spoken: Spoken, frame: Frame) -> list[dict[str, Any]]:
    return spoken.told(frame.model, thinking=frame.settings.thinking, tools=bool(frame.body.get("tools")))


def _same_options(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two sets of keywords make the same request; the order of keys is written into the prompt."""
    return _identical(one, other) or (one == other and repr(one) == repr(other))


def _identical(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return list(one) == list(other) and all(map(is_, one.values(), other.values()))


def _begun(message: Any) -> bool:
    return isinstance(message, dict) and message.get("prefix") is True


def _parted(messages: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a history and the messages behind its last assistant message, which were asked as they are."""
    last = max((index for index, message in enumerate(messages) if message.get("role") == "assistant"), default=-1)
    return messages[: last + 1], messages[last + 1 :]
