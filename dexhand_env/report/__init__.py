"""The report: recorded files of one experiment in, one self-contained page out. Knows no simulator and no task."""
