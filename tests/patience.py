"""How long a test waits before it calls something hung; speed is measured by `make bench`, never here."""

PATIENCE = 60.0  # seconds: eight processes that import pandas on two busy cores have taken 25
