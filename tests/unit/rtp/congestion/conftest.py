"""These tests run in virtual time."""

from tests.unit.virtual_time import in_virtual_time  # noqa: F401
