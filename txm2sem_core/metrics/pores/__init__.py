"""Metrics of the pores of a rock: phases, sizes, connections, transport.

- `phases`: grey levels to phases, and their fractions
- `streaming`: a volume slice by slice; `cells`, `chords`, `crossings`: what is counted on the way
- `geometry`, `local_thickness`: sizes of pores
- `connectivity`, `two_point`: connected pores and spatial correlation
- `diffusivity`, `permeability`, `stokes`: transport through the pores; `solvers`: how their equations are solved
- `blocks`: sizes and transport in blocks spread over a volume
- `laboratory`: mercury intrusion and a pore network, by PoreSpy
- `finite_size`, `sizes`: what a volume of this size cannot know of its rock
- `summary`: all of them for one volume
"""
