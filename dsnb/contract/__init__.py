"""What the DeepSeek API is: models, rules, prices, prompts and errors by date.

Pure: no network, no clock, no display. ``at(instant)`` answers with the contract then in force.
"""

from dsnb.contract import calendar, catalogue, prices, settings
from dsnb.contract.catalogue import CacheRule, Contract, Generation, Model, ParameterRule, Wire, at
from dsnb.contract.error_bodies import ErrorBody
from dsnb.contract.finding import Finding
from dsnb.contract.prices import Cost, Price, Rates, cost
from dsnb.contract.settings import Settings
from dsnb.errors import RetiredModel, UnknownModel

__all__ = [
    "CacheRule",
    "Contract",
    "Cost",
    "ErrorBody",
    "Finding",
    "Generation",
    "Model",
    "ParameterRule",
    "Price",
    "Rates",
    "RetiredModel",
    "Settings",
    "UnknownModel",
    "Wire",
    "at",
    "calendar",
    "catalogue",
    "cost",
    "prices",
    "settings",
]
