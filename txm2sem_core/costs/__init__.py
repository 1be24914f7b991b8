"""What the jobs of a run take, from sizes that are known before it begins.

- `sizes`: a sample's pairs and volume
- `quantities`: a job, and costs that are linear in its sizes
- `networks`: what the networks of a variant take, and their speed, by trying them; `trial`: what is found
- `network_cost`: what was found, kept from one plan to the next
- `memory`, `work`, `disk`: the memory, the time and the disk of each rule's jobs
- `reservations`: what the jobs of the workflow reserve
- `forecast`: all jobs of a planned run together
"""
