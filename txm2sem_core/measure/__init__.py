"""Measure predictions, and collect the metrics over variants and seeds.

- `patches`: the test patches, one by one
- `volumes`: whole volumes, beside the truth where there is one
- `summary`: the tables over variants and seeds
- `paper_table`: the table beside the published numbers
- `rock`: what the pores of a volume are, and what they let through
- `side_tasks`: repair and segmentation
- `uncertainty`: whether the stated uncertainty covers the true error
- `evaluate`: the command `txm2sem evaluate`, for any two images or volumes
"""
