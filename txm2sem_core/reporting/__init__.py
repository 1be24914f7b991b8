"""The report of a run, gathered from the results of all samples.

- `gather`: all of it
- `tables`: which tables of `metrics/` are shown, and how
- `captions`: title and caption of each figure
- `volumes`: what the viewer of slices holds
- `cautions`: what would mislead
"""

from txm2sem_core.reporting.gather import SampleResults, parse_samples, report_results

__all__ = ["SampleResults", "parse_samples", "report_results"]
