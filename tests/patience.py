"""How long a test waits before it calls something hung; speed is measured by `make bench`, never here."""

PATIENCE = 20.0  # seconds
