"""Typed configuration: the only code that reads YAML."""
