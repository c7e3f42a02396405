"""The DeepSeek API as a server on loopback: the contract, answered by a script instead of a model."""

from dsnb.emulator.emulator import DEFAULT_AS_OF, Emulator, running
from dsnb.emulator.engines import Answer, Engine, EngineRequest, ToolCall
from dsnb.emulator.ledger import LedgerRow

__all__ = ["DEFAULT_AS_OF", "Answer", "Emulator", "Engine", "EngineRequest", "LedgerRow", "ToolCall", "running"]
