"""What stands in the file: its tables, and how an older file is brought up to date.

Rows are only ever added. A turn is written when it begins (`turns`), each of its requests when that has ended
(`attempts`), and its end when it ends (`ends`): a turn without an end was cut off, by a crash or a kill. What most
rows share stands once: how it was asked in `settings`, who answered and how in `results`. The view `calls` puts it all
together, for whoever looks with a tool of their own.
"""

# ruff: noqa: S608 — the names of tables and columns are put into the SQL, and they are ours; values are bound

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

APPLICATION: Final = 0x64736E62  # "dsnb": by this SQLite tells our file from anybody else's

SETTING: Final = ("run", "notebook", "source", "provider", "asked_model", "streamed", "thinking", "effort")
RESULT: Final = (
    *("source", "provider", "model", "fingerprint", "status", "outcome", "finish_reason", "error"),
    *("price_period", "peak"),
)
TOKENS: Final = (
    *("prompt_tokens", "completion_tokens", "total_tokens"),
    *("cache_hit_tokens", "cache_miss_tokens", "reasoning_tokens"),
)
SECONDS: Final = ("queued", "first_token", "first_answer", "total")
COST: Final = ("cost_usd", "cost_cny")
# the numbers of a row as they stand in one text, by the name of the column that holds the text
TURN_LINES: Final = {"line": ("id", "setting", "time", "messages")}
ATTEMPT_LINES: Final = {
    "line": ("turn", "result", *TOKENS, *COST),
    "clock": ("attempt", "time", "created", *SECONDS),
}
END_LINES: Final = {"line": ("turn", "result", *SECONDS)}

# in the text of a row times are whole microseconds and costs whole millionths of a millionth
SCALES: Final = dict.fromkeys(("time", *SECONDS), 10**6) | dict.fromkeys(COST, 10**12)
_NUMBERS: Final = {1: "ifnull({}, -1)"} | {
    scale: f"ifnull(CAST(round({{}} * {scale}.0) AS INTEGER), -1)" for scale in {*SCALES.values()}
}


def _lines(lines: Mapping[str, tuple[str, ...]]) -> str:
    """Return the definitions of columns that repeat the row's numbers as text, -1 for what is not known.

    SQLite keeps them in step by itself. It hands a number to Python in 0.2 µs, which makes 6 s for a frame of a
    million rows; as text they come by the ten thousand, and NumPy parses them five times as fast.
    """
    definitions = []
    for name, columns in lines.items():
        numbers = (_NUMBERS[SCALES.get(column, 1)].format(column) for column in columns)
        definitions.append("{} TEXT AS ({}) STORED".format(name, " || ' ' || ".join(numbers)))
    return ",\n        ".join(definitions)


CALLS: Final = f"""
    SELECT t.id AS turn, a.attempt, ifnull(a.time, t.time) AS time, e.turn IS NOT NULL AS finished,
        s.run, s.notebook, ifnull(r.source, s.source) AS source, ifnull(r.provider, s.provider) AS provider,
        s.asked_model, s.streamed, s.thinking, s.effort, t.messages, t.prompt_hash,
        r.model, r.fingerprint, r.status, r.outcome, r.finish_reason, r.error, r.price_period, r.peak,
        {", ".join(f"a.{name}" for name in (*TOKENS, *SECONDS, *COST))}, a.created, a.response_id, a.trace_id
    FROM turns t
    JOIN settings s ON s.id = t.setting
    LEFT JOIN ends e ON e.turn = t.id
    LEFT JOIN attempts a ON a.turn = t.id
    LEFT JOIN results r ON r.id = a.result"""

_FIRST: Final = (
    """CREATE TABLE settings (
        id INTEGER PRIMARY KEY,
        run TEXT,
        notebook TEXT,
        source TEXT NOT NULL,       -- live or emulator
        provider TEXT,
        asked_model TEXT,
        streamed INTEGER,
        thinking INTEGER,           -- as asked for: NULL left it to the model
        effort TEXT
    )""",
    """CREATE TABLE results (
        id INTEGER PRIMARY KEY,
        source TEXT NOT NULL,
        provider TEXT,
        model TEXT,
        fingerprint TEXT,
        status INTEGER,             -- of HTTP; NULL: no answer came
        outcome TEXT,
        finish_reason TEXT,
        error TEXT,                 -- the name of its type
        price_period TEXT,          -- the price row that the cost was reckoned with
        peak INTEGER
    )""",
    f"""CREATE TABLE turns (
        id INTEGER PRIMARY KEY,
        key TEXT NOT NULL,          -- what the client calls the turn
        setting INTEGER NOT NULL,
        time REAL NOT NULL,         -- seconds since 1970, UTC
        messages INTEGER,
        prompt_hash TEXT,
        {_lines(TURN_LINES)}
    )""",
    f"""CREATE TABLE attempts (
        id INTEGER PRIMARY KEY,
        turn INTEGER NOT NULL,
        attempt INTEGER NOT NULL,   -- the how manieth of its turn
        result INTEGER NOT NULL,
        time REAL NOT NULL,
        prompt_tokens INTEGER,      -- here and below: NULL is not known
        completion_tokens INTEGER,
        total_tokens INTEGER,
        cache_hit_tokens INTEGER,
        cache_miss_tokens INTEGER,
        reasoning_tokens INTEGER,
        queued REAL,                -- seconds, as the next three
        first_token REAL,
        first_answer REAL,
        total REAL,
        cost_usd TEXT,              -- the exact decimal
        cost_cny TEXT,
        created INTEGER,
        response_id TEXT,
        trace_id TEXT,
        {_lines(ATTEMPT_LINES)}
    )""",
    f"""CREATE TABLE ends (
        turn INTEGER PRIMARY KEY,
        result INTEGER NOT NULL,
        queued REAL,
        first_token REAL,
        first_answer REAL,
        total REAL,
        {_lines(END_LINES)}
    )""",
    f"CREATE INDEX settings_by_value ON settings ({', '.join(SETTING)})",
    f"CREATE INDEX results_by_value ON results ({', '.join(RESULT)})",
    f"CREATE VIEW calls AS {CALLS}",
)

# Each entry takes a file from the version of its position to the next; entries that were released never change.
MIGRATIONS: Final = (_FIRST,)
VERSION: Final = len(MIGRATIONS)


@dataclass(frozen=True, slots=True)
class Kind:
    """Say what a file of ours holds: its ``name``, the number that SQLite keeps of it, and how its tables are made."""

    name: str
    application: int
    migrations: Sequence[Sequence[str]]

    @property
    def version(self) -> int:
        """The version that this dsnb writes."""
        return len(self.migrations)


LEDGER: Final = Kind("ledger", APPLICATION, MIGRATIONS)
