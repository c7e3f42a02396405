"""Another process may make the ledger at any moment between two looks at the file."""

import sqlite3
from contextlib import closing

import pytest

from dsnb.usage import database
from dsnb.usage.schema import LEDGER


@pytest.mark.parametrize("moment", range(4))
def test_a_ledger_that_is_made_while_we_look_is_never_taken_for_anothers(tmp_path, moment) -> None:
    path = tmp_path / "usage.sqlite"
    statements = []

    def make_it_now(statement: str) -> None:
        if len(statements) == moment:
            statements.append("the other's")
            database.to_write(path).close()
        statements.append(statement)

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # which comes first when a file is begun
        connection.set_trace_callback(make_it_now)
        version = database._version(connection)
        connection.set_trace_callback(None)
        assert version in {0, LEDGER.version}
        assert database._version(connection) == (LEDGER.version if "the other's" in statements else 0)
    assert statements
