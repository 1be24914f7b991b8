"""The report of a run, gathered from the results of all samples.

- `gather`: all of it
- `answer`: what it says first: the rock, and whether the X-rays agree
- `picture`: pictures of the volume beside that
- `inputs`: its inputs from the workflow
- `tables`: tables of `metrics/` as they are shown
- `volumes`: what the viewer of slices holds
- `stated`: settings that the results state
- `failures`: jobs that failed
- `warnings`: what would mislead
- `page/`: the page itself
"""

from txm2sem_core.report.gather import SampleResults, parse_samples, report_results

__all__ = ["SampleResults", "parse_samples", "report_results"]
