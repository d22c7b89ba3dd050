"""Benchmarks against peers, side by side in one run; only here is time judged. Start with `scripts/bench`."""
