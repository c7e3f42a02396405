"""The usage ledger: what was asked, what it took and what it cost, kept on disk and shown with pandas."""

from dsnb.usage.location import default_path
from dsnb.usage.log import UsageLog

__all__ = ["UsageLog", "default_path"]
