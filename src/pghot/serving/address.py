"""Where `pghot run --metrics` listens, as text."""

from __future__ import annotations

from pghot.errors import InputError

LOOPBACK = "127.0.0.1"


def parse_address(text: str) -> tuple[str, int]:
    """Read ADDRESS:PORT, :PORT or PORT; InputError where it is none of them."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host or (colon and text.startswith("[")):
        raise InputError(f"--metrics {text}: wants [ADDRESS]:PORT for an address with colons")
    if not (port.isascii() and port.isdigit() and len(port) < 6 and int(port) <= 0xFFFF):
        raise InputError(f"--metrics {text}: wants ADDRESS:PORT, as in {LOOPBACK}:9105")
    return host or LOOPBACK, int(port)
