"""Benchmarks: `make bench` runs them all and prints ratios taken in one run, which hold on any machine."""
