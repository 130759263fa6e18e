"""A server on this machine's loopback address."""

from loopback import serve  # noqa: F401 (a fixture)
