"""The stages of the pipeline; each reads files and writes files."""
