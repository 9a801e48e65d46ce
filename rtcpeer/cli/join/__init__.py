"""``rtcpeer join``, in reading order: `join` (the verb), `recording` (files), `table` (who is there)."""
