"""Where results come from.

- `digests`: of raw files and of our own source
- `environment`: versions, commit, machine
- `record`: everything about a finished run, `provenance.json`
- `crate`: the same as a Workflow Run RO-Crate, `ro-crate-metadata.json`
"""

from txm2sem_core.provenance.digests import raw_digest, source_digest, source_files
from txm2sem_core.provenance.environment import commit, made_with, versions

__all__ = ["commit", "made_with", "raw_digest", "source_digest", "source_files", "versions"]
