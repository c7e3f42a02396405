"""An emulator in front of a server of bytes."""

from dsnb.emulator import Emulator
from dsnb.emulator.engines.upstream import UpstreamEngine
from tests.servers import END, HEAD, chunk


def behind(server, **options):
    """Return an emulator whose model is at a server."""
    return Emulator(engine=UpstreamEngine(server.base_url, model="any"), **options)


def streaming(*parts):
    """Return a script that sends a stream whole."""
    return lambda connection: connection.send(HEAD, *map(chunk, parts), END)
