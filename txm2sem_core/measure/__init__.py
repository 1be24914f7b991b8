"""Measure predictions, and collect the metrics over variants and seeds.

- `patches`: the test patches, one by one
- `volumes`: whole volumes, beside the truth where there is one
- `summary`: the tables over variants and seeds
- `paper_table`: the table beside the published numbers
- `rock`: the pores of a volume, and transport through them
- `intervals`: the rock over trainings, samples and the size of the volume
- `side_tasks`: repair and segmentation
- `uncertainty`: whether the stated uncertainty covers the true error
- `consistency`: whether a volume would show the TXM that was measured
- `laboratory`: the command `txm2sem laboratory`, mercury and a pore network
- `evaluate`: the command `txm2sem evaluate`, for any two images or volumes; `compared`, `evaluate_rock`: its parts

Import the modules themselves: each job loads what it needs.
"""
