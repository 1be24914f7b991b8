"""Where results come from.

- `code`: which code a result depends on, and its digest; `syntax`: what is found in a file
- `digests`: of files of data; `user_cache`: where what takes time is kept
- `beside`: what is small and took long to read, kept beside the results
- `environment`: versions; `machine`: the machine, and the commit
- `record`: everything about a finished run, `provenance.json`
- `crate`: the same as a Workflow Run RO-Crate, `ro-crate-metadata.json`
"""

from txm2sem_core.provenance.code import code_digest
from txm2sem_core.provenance.digests import know_files, raw_digest, volume_digest
from txm2sem_core.provenance.environment import made_with, versions
from txm2sem_core.provenance.machine import commit

__all__ = ["code_digest", "commit", "know_files", "made_with", "raw_digest", "versions", "volume_digest"]
