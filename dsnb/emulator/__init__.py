"""The DeepSeek API as a server on loopback: the contract, answered by a script, or by a real model."""

from dsnb.emulator.emulator import DEFAULT_AS_OF, Emulator, running
from dsnb.emulator.engines import Answer, Engine, EngineRequest, ToolCall
from dsnb.emulator.ledger import LedgerRow
from dsnb.emulator.referee import Foul, Verdict

__all__ = [
    "DEFAULT_AS_OF",
    "Answer",
    "Emulator",
    "Engine",
    "EngineRequest",
    "Foul",
    "LedgerRow",
    "ToolCall",
    "Verdict",
    "running",
]
