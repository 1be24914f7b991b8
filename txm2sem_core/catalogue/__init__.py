"""What a run leaves, in one list each: rules, report, documents and tests follow from these.

- `figures`: every figure, what it is drawn from and what is said of it
- `tables`: every table of `metrics/`, and how the report shows it
- `metrics`: every metric, its name in words, its unit, and which value is better
- `targets`: the files that a run is asked for
- `readme`: what `results/README.md` says of them
"""
