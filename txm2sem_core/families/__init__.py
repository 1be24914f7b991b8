"""What the families of models share beyond a stage: their generators, and the two side tasks.

- `architecture`: the generator that a variant's settings ask for
- `side_tasks`: repair of charged places, and segmentation by density
"""
