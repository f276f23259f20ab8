"""Speed and memory against the project's limits; `tools/bench` runs them.

A figure is one function under `@figure`, in the module of its subject; a new module is
named in `__main__`.
"""
