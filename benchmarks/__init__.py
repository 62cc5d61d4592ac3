"""Measurements, each a ratio or a bound of things measured in the same run."""
