"""What was asked, or will be: the kinds in which people say it, read as one request of the API or several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from dsnb.client.credentials import Secret
from dsnb.client.endpoint import DEEPSEEK_API, Endpoint
from dsnb.client.reply import Reply
from dsnb.client.request import Request, messages_of
from dsnb.client.timeouts import Timeouts
from dsnb.contract import Contract, Finding, Model, Settings
from dsnb.contract.settings import settings
from dsnb.conversation import Conversation
from dsnb.errors import RequestError, RetiredModel
from dsnb.question import Question

_ANYWHERE: Final = Endpoint(DEEPSEEK_API, Secret(""))  # where requests go that are not sent
_UNLIMITED: Final = Timeouts()
_NOT_ASKED: Final = ("render", "lint", "deadline", "max_rounds", "into")  # keywords of ask that no request shows
_QUESTION: Final = ({"role": "user", "content": "?"},)  # stands where the messages do not matter


@dataclass(frozen=True, slots=True)
class Frame:
    """Hold what a request is but for its messages; ``options`` are the keywords that it was made of."""

    options: Mapping[str, Any]
    path: str
    body: Mapping[str, Any]
    model: Model
    settings: Settings
    notes: tuple[Finding, ...]

    @property
    def user(self) -> str | None:
        """The user id, whose requests share a cache; None where there is none."""
        user = self.body.get("user_id")
        return user if isinstance(user, str) else None


@dataclass(slots=True)
class Asked:
    """Hold one request, and what came of it where that is known. ``messages`` are not copied."""

    frame: Frame
    messages: Sequence[Mapping[str, Any]]
    reply: Reply | None = None

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
    _frames: list[Frame] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._shared = self._over(self.options)

    def one(self, given: Any, follow: Any = None) -> Asked:
        """Return the request that is given; ``follow`` is what comes next in a conversation."""
        if isinstance(given, Conversation):
            return self._of_conversation(given, follow)
        if follow is not None:
            raise RequestError("A next prompt goes with a Conversation: write plan(chat, 'And now?').")
        if isinstance(given, Mapping):
            return self._of_keywords(given)
        return self._asked(given, self._shared)

    def many(self, given: Any) -> list[Asked]:
        """Return earlier requests, oldest first; a reply belongs to the one before it."""
        found: list[Asked] = []
        plain: Frame | None = None
        for item in [given] if isinstance(given, str | Mapping | Conversation | Reply) else given:
            if type(item) is list and item and not _begun(item[-1]):  # what there may be hundreds of
                plain = plain or self._frame(self._shared)
                found.append(Asked(plain, item) if plain else self._asked(item, self._shared))
            elif isinstance(item, Reply):
                if not found:
                    raise RequestError("after=[...] begins with a reply: put the request before it that it answers.")
                found += self._answered(found.pop(), item)
            elif isinstance(item, Conversation):
                found += self.turns(item)
            else:
                found.append(item.asked if hasattr(item, "asked") else self.one(item))
        return found

    def turns(self, chat: Conversation) -> Iterator[Asked]:
        """Yield the requests that a conversation has made, with their replies."""
        rounds = [each for reply in chat.replies for each in (reply.rounds or (reply,))]
        place = 0
        for reply in rounds:
            said = reply.message
            found = [index for index in range(place, len(chat.messages)) if _same(chat.messages[index], said)]
            if not found:  # left out of the history, as an answer is that was not the JSON which was wanted
                continue
            place = found[0] + 1
            options = self._over({**chat.options, "model": reply.asked_model or chat.options.get("model")})
            history, prompt = _parted(chat.messages[: found[0]])
            yield replace(self._asked(prompt, options, history=history), reply=reply)

    def _of_conversation(self, chat: Conversation, follow: Any) -> Asked:
        """Return the next request: what was said, rendered for the model, and what comes next, which stays."""
        history, prompt = (chat.messages, messages_of(follow)) if follow is not None else _parted(chat.messages)
        return self._asked(prompt, self._over({**chat.options, **self.options}), history=history)

    def _of_keywords(self, given: Mapping[str, Any]) -> Asked:
        options = dict(given)
        for name in ("messages", "prompt", "prompt_or_messages"):
            if name in options:
                return self._asked(options.pop(name), self._over(options))
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

    def _answered(self, asked: Asked, reply: Reply) -> Iterator[Asked]:
        """Yield a request with its reply, and the requests that followed in the same turn."""
        rounds = reply.rounds or (reply,)
        added: list[dict[str, Any]] = []
        for each in rounds:
            following = asked if not added else self._asked(asked.messages, asked.frame.options, added=added)
            yield replace(following, reply=each)
            if not each.tool_calls:  # what was then asked to be mended is not in the reply
                return
            added += each.messages

    def _asked(
        self,
        messages: Any,
        options: Mapping[str, Any],
        *,
        history: Sequence[Mapping[str, Any]] = (),
        added: Sequence[Mapping[str, Any]] = (),
    ) -> Asked:
        if type(messages) is list and messages and not history and not added and not _begun(messages[-1]):
            frame = self._frame(options)
            if frame is not None:
                return Asked(frame, messages)
        request, notes, model = self._made(messages_of(messages), options, history, added)
        body = dict(request.body)
        return Asked(_frame(options, request.path, body, model, notes), body.pop("messages"))

    def _frame(self, options: Mapping[str, Any]) -> Frame | None:
        """Return the frame of a request whose messages are sent as they are; None if others are made of them."""
        for known in self._frames:
            if known.options is options or _same_options(known.options, options):
                return known
        if options.get("start") or options.get("json") not in (None, False, True):
            return None
        if all(isinstance(value, str | int | float) for value in options.values()):  # nobody can change those
            self._frames.append(_known(self.contract, tuple(options.items())))
        else:
            self._frames.append(self._made_frame(options))
        return self._frames[-1]

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
def _known(contract: Contract, options: tuple[tuple[str, str | float], ...]) -> Frame:
    """Return a frame that was made before: planning one conversation makes the same one for every turn."""
    return Reading(contract, {}, "")._made_frame(dict(options))  # noqa: SLF001 — its own class


def _frame(
    options: Mapping[str, Any], path: str, body: Mapping[str, Any], model: Model, notes: tuple[Finding, ...]
) -> Frame:
    return Frame(options, path, body, model, settings(body, model), notes)


def _same_options(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two sets of keywords make the same request; the order of keys is written into the prompt."""
    if one.keys() != other.keys():
        return False
    return all(one[key] is value for key, value in other.items()) or (one == other and repr(one) == repr(other))


def _begun(message: Any) -> bool:
    return isinstance(message, dict) and message.get("prefix") is True


def _parted(messages: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a history and the messages behind its last assistant message, which were asked as they are."""
    last = max((index for index, message in enumerate(messages) if message.get("role") == "assistant"), default=-1)
    return messages[: last + 1], messages[last + 1 :]


def _same(message: Mapping[str, Any], said: Mapping[str, Any]) -> bool:
    return message is said or message == said
