"""Measurements: ours beside real uWSGI and others, interleaved in one run, told as ratios.

Not shipped in the wheel, and not tests: they prove nothing, they compare. Everything they start
listens on loopback, on a free port, and ends with them.

Runs in: a process of its own, `make bench`.
"""
