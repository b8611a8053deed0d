"""Pure: standard library and numpy only; no clock, no environment, no I/O. Ranges are half-open [start, end)."""
