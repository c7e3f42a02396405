"""What the ledger says was used is what the emulator says it billed, attempt for attempt and token for token."""

from datetime import UTC, datetime

from dsnb import connect
from dsnb.client.records import Attempt
from dsnb.emulator import Emulator
from dsnb.errors import DsnbError
from dsnb.usage import UsageLog
from tests.usage.calls import turn

FAULTS = ["ok", 503, "cut@3", "ok", "malformed", 429, "eof", "ok", "reset", "empty", "ok"]


def test_the_ledger_and_the_emulator_agree(tmp_path) -> None:
    log = UsageLog(tmp_path / "usage.sqlite")
    with Emulator(faults=list(FAULTS)) as emulator, connect(emulator.base_url, quiet=True) as ds:
        for number in range(len(FAULTS)):
            begun = turn(source="emulator", started=datetime.now(UTC).timestamp())
            log.began(begun)
            try:
                reply, error = ds.ask(f"question {number} " + "and more " * 200, stream=number % 3 != 0), None
            except DsnbError as failed:
                reply, error = failed.reply, failed
            status = 200 if error is None else getattr(error, "status", None)
            log.attempted(Attempt(begun, 1, begun.started, status, reply, error))
            log.ended(begun, reply, error)
        billed = emulator.ledger()
    attempts = log.frame("attempts")
    assert len(attempts) == len(billed) == len(FAULTS)
    assert (attempts["source"] == "emulator").all()
    told = 0
    for (_, row), bill in zip(attempts.iterrows(), billed, strict=True):
        if row.isna()["prompt_tokens"]:
            assert row["unknown"] or row["status"] in {429, 503}
            assert bill.outcome not in {"stop", "length"}
            continue
        told += 1
        assert row["response_id"] == bill.id
        tokens = (row["prompt_tokens"], row["cache_hit_tokens"], row["completion_tokens"])
        assert tokens == (bill.prompt_tokens, bill.cache_hit_tokens, bill.completion_tokens)
        assert row["cost_usd"] == float(bill.cost.usd)
    assert told >= FAULTS.count("ok")
    assert log.cost() == sum(
        bill.cost.usd for bill in billed if bill.id in set(attempts["response_id"][~attempts["unknown"]])
    )
    assert (log.frame()["total"] > 0).all()
