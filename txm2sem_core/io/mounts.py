"""The kind of file system that a folder lies on (Linux only), and whether its locks can be relied on."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

_ONE_MACHINE = {
    *("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "bcachefs", "tmpfs", "ramfs", "overlay"),
}


class Mount(NamedTuple):
    """A mounted file system: its kind, empty where it is not known, and its options."""

    kind: str
    options: frozenset[str]


def mount_of(path: Path) -> Mount:
    """The file system of a resolved path."""
    best, found = "", Mount("", frozenset())
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # not Linux
        return found
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, (kind, *more) = before.split(" "), after.split(" ")
        point = fields[4].replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n")
        if len(point) >= len(best) and path.is_relative_to(point):
            options = ",".join([fields[5], more[-1] if more else ""])
            best, found = point, Mount(kind, frozenset(options.split(",")))
    return found


def shares_flock(mount: Mount) -> bool:
    """Whether `flock` holds for all machines that have the file system mounted; False where that is not known.

    On Lustre only with the option `flock`, on NFS unless `local_lock` says otherwise (`man 5 nfs`).
    """
    if mount.kind in _ONE_MACHINE or mount.kind == "ceph":
        return True
    if mount.kind == "lustre":
        return "flock" in mount.options
    return mount.kind in ("nfs", "nfs4") and not {"local_lock=all", "local_lock=flock", "nolock"} & mount.options
