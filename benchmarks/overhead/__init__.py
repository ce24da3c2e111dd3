"""What vidsuite itself costs: start-up, planning, scheduling, stored results, data, and the training loop.

    python -m vidsuite_benchmarks.overhead [NAME ...] [--json FILE] [--cells N] [--attempts N]

Each figure stands beside its goal and beside a reference that is timed in the same run, in turn with it, so that a busy
machine slows both. The load of the machine before and after is told; figures of a busy one are no figures.
"""
