"""What the ledger says was used is what the emulator says it billed, attempt for attempt and token for token."""

from dsnb import connect
from dsnb.emulator import Emulator
from dsnb.usage import UsageLog
from tests.once import QUICK

FAULTS = ["ok", 503, "cut@3", "ok", "malformed", 429, "eof", "ok", "reset", "empty", "ok"]


def test_the_ledger_and_the_emulator_agree(tmp_path) -> None:
    log = UsageLog(tmp_path / "usage.sqlite")
    with (
        Emulator(faults=list(FAULTS)) as emulator,
        connect(emulator.base_url, usage=log, retry=QUICK, quiet=True) as ds,
    ):
        while len(emulator.ledger()) < len(FAULTS):
            number = len(emulator.ledger())
            assert ds.ask(f"question {number} " + "and more " * 200, stream=number % 3 != 0).outcome == "stop"
        billed = emulator.ledger()
    attempts = log.frame("attempts")
    assert len(attempts) == len(billed) >= len(FAULTS)
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
