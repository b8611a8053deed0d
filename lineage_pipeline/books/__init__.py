"""The outside world in, core values out: every foreign error is mapped here."""
