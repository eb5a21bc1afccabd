"""The headless runner: finds notebooks, executes each in a kernel of its own, and tells how it went.

`notebooks` turns what a person typed into notebooks, `execute` runs one of them, `report` shows the progress and the
failures, and `lessons` puts the shipped lessons into a folder. The runner talks to the library inside a kernel only
through `lane_kernel.check()`.
"""
