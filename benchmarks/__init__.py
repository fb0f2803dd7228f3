"""Benchmarks: ``make bench`` runs them and writes docs/benchmarks.md. Ratios hold within one run; seconds are this machine's."""
