"""The magics of IPython: ``%load_ext dsnb`` brings ``%%ask`` and ``%usage``."""
# mypy: disable-error-code="no-untyped-call, untyped-decorator"
# since IPython's own decorators for magics have no types

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from dsnb.client.reply import Reply
from dsnb.display import formatters
from dsnb.display.renderers import NAMES
from dsnb.errors import ConfigurationError, DsnbError, RequestError

if TYPE_CHECKING:
    import pandas as pd

    from dsnb.conversation import Conversation
    from dsnb.session import Session

_SESSION: Final = "ds"  # the variable that has the session, as in all examples
_BRACES: Final = "write {{ and }} for braces that are meant"


def load(ipython: InteractiveShell) -> None:
    """Give an IPython shell the magics; more than once does no harm."""
    formatters.install()
    ipython.register_magics(DsnbMagics)


def _word(written: str) -> str:
    """Return a word of the line without the quotes around it, which IPython leaves there."""
    quoted = len(written) > 1 and written[0] == written[-1] and written[0] in "\"'"
    return written[1:-1] if quoted else written


@magics_class
class DsnbMagics(Magics):
    """Ask in a cell, and look at what it took."""

    @magic_arguments("%ask")
    @argument("-m", "--model", type=_word, help="the model to ask; the session's own without this")
    @argument(
        "--thinking",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="let the model think, or not; the model's own default without this",
    )
    @argument("-e", "--effort", type=_word, help="how hard to think: none, low, high or max")
    @argument(
        "-i",
        "--into",
        metavar="NAME",
        type=_word,
        help="ask in the conversation of that name, with all that was said there; it is made where there is none",
    )
    @argument("-s", "--system", metavar="TEXT", type=_word, help="the system message; in a conversation, its first")
    @argument("--json", action="store_true", help='ask for JSON; the prompt must say "json", and _.parsed is the value')
    @argument("--max-tokens", metavar="N", type=int, help="the most tokens of reasoning and answer together")
    @argument(
        "-r",
        "--render",
        metavar="HOW",
        choices=NAMES,
        default="auto",
        help=f"how the turn is shown: {', '.join(NAMES)}; see dsnb.render",
    )
    @argument(
        "--format",
        action="store_true",
        help="fill {name}, {name[0]} and {name.attribute} in from the notebook's variables, and write {{ for {",
    )
    @cell_magic
    def ask(self, line: str, cell: str) -> Reply:
        """Ask what stands in the cell, show the turn, and return the Reply.

        The reply is also ``_``, and ``ds.last``. The session is the one that the variable ``ds`` has; where there is
        none, dsnb.connect() makes it.

            %%ask --effort high --into chat --system "You are terse."
            Why is the sky blue?

        The cell is sent as it is written, braces and dollars too, unless --format is given. In the line of the flags
        IPython itself puts the value of variables for {name} and $name.
        """
        with _explaining("%%ask"):
            flags = _flags(self.ask, line)
            prompt = _filled(cell, self._variables) if flags.format else cell
            if not prompt.strip():
                raise UsageError("the prompt is missing: it stands in the cell, under this line.")
            options = {
                name: value
                for name in ("model", "thinking", "effort", "max_tokens")
                if (value := getattr(flags, name)) is not None
            }
            options |= {"json": True} if flags.json else {}
            if flags.into is not None:
                return self._ask_into(flags.into, prompt.strip(), flags.system, render=flags.render, **options)
            messages = [{"role": "system", "content": flags.system}] if flags.system is not None else []
            messages.append({"role": "user", "content": prompt.strip()})
            return self._session.ask(messages, render=flags.render, **options)

    @magic_arguments()
    @argument(
        "--by",
        metavar="LABEL",
        nargs="+",
        type=_word,
        help="what to add up by: model (the default), run, notebook, outcome, day, and more",
    )
    @argument("--attempts", action="store_true", help="no sums: a row for each request")
    @line_magic
    def usage(self, line: str) -> pd.DataFrame:
        """Return what was asked so far, and what it took, as a pandas DataFrame.

        It is ds.usage.summary(by=...), or ds.usage.frame("attempts").

            %usage --by model outcome
        """
        with _explaining("%usage"):
            flags = _flags(self.usage, line)
            if flags.attempts and flags.by:
                raise UsageError("--attempts adds nothing up, so there is nothing to say with --by.")
            ledger = self._session.usage
            try:
                return ledger.frame("attempts") if flags.attempts else ledger.summary(flags.by or "model")
            except DsnbError as error:  # which knows the labels
                raise UsageError(str(error)) from None

    def _ask_into(self, name: str, prompt: str, system: str | None, **options: Any) -> Reply:
        """Ask in a conversation; a new one gets its name only when something has been said in it."""
        chat = self._conversation(name)
        if chat is None:
            chat = self._session.conversation(system=system)
        elif system is not None:
            raise UsageError(f"{name} has begun, and keeps its system message: leave --system out, or use a new name.")
        elif chat.session is None:
            chat.session = self._session
        try:
            return chat.ask(prompt, **options)
        finally:
            if chat.replies:
                self._variables[name] = chat

    def _conversation(self, name: str) -> Conversation | None:
        from dsnb.conversation import Conversation

        if not name.isidentifier():
            raise UsageError(f"--into needs the name of a variable, which {name!r} cannot be.")
        found = self._variables.get(name)
        if found is None or isinstance(found, Conversation):
            return found
        raise UsageError(f"{name} is no conversation but {_kind(found)}: use another name with --into.")

    @property
    def _session(self) -> Session:
        from dsnb.connection import connect
        from dsnb.session import Session

        found = self._variables.get(_SESSION)
        if found is None:
            found = self._variables[_SESSION] = connect()
        if not isinstance(found, Session):
            raise UsageError(
                f"{_SESSION} is no session but {_kind(found)}. The magics ask the session of that name: give the "
                f"other thing another, and write {_SESSION} = dsnb.connect()."
            )
        return found

    @property
    def _variables(self) -> dict[str, Any]:
        variables: dict[str, Any] = self.shell.user_ns  # type: ignore[union-attr] # a magic that runs has a shell
        return variables


@contextmanager
def _explaining(magic: str) -> Iterator[None]:
    """Say what is wrong with a line or a request in a few words; what goes wrong later keeps its own error."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{magic}: {str(error).rstrip('.')}. {magic}? lists the flags.") from None
    except (ConfigurationError, RequestError) as error:
        raise UsageError(f"{magic}: {error}") from None


def _flags(magic: Callable[..., Any], line: str) -> argparse.Namespace:
    try:
        flags: argparse.Namespace = parse_argstring(magic, line)
    except ValueError as error:  # from shlex, about quotation marks
        raise UsageError(f"the line cannot be read: {str(error).lower()}") from None
    return flags


def _filled(cell: str, variables: dict[str, Any]) -> str:
    try:
        return cell.format_map(variables)
    except KeyError as error:
        raise UsageError(
            f"--format found no variable {error}; write {{{{ and }}}} for braces that are meant."
        ) from None
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise UsageError(f"--format: {error}; {_BRACES}") from None


def _kind(thing: object) -> str:
    return f"of the type {type(thing).__name__}"
