"""The process and its machine: device, memory, progress, garbage. Nothing here can change a result but `mkl`.

- `device`: which device computes, and the leases of GPUs
- `flock`: the system's locks on files
- `allocator`: what the C library does with freed memory
- `out_of_memory`: the message, and the smaller attempt
- `garbage`: when Python collects it
- `mkl`: the first call of each function, which may round otherwise than the next
- `progress`: bars and lines with the time left
"""
