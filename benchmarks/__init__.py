"""Benchmark definitions (YAML) and the performance benchmarks of vidsuite itself."""
