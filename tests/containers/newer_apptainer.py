"""Run Apptainer of another root: `python newer_apptainer.py ROOT ARGUMENTS...`, as root on Linux.

Debian's stable release has no Apptainer. That of the next one runs in a root of its own in which the folders of this
machine are seen under their names. It wants all rights of root, which a container may lack: in a user namespace, where
root is root, it has them.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

NEW_USERS, NEW_MOUNTS = 0x10000000, 0x00020000  # CLONE_NEWUSER, CLONE_NEWNS
OF_THE_ROOT = ("bin", "boot", "etc", "lib", "lib32", "lib64", "libx32", "lost+found", "sbin", "usr", "var")
ENTER = """
mount --make-rprivate /
mount --bind "$0" "$0"
for place in $PLACES; do
    mkdir -p "$0/$place"
    mount --rbind "/$place" "$0/$place"
done
here=$PWD
mkdir -p "$0/.old"
cd "$0"
pivot_root . .old
umount -l /.old
cd "$here"
exec /usr/bin/apptainer "$@"
"""


def main(root: str, *arguments: str) -> None:
    """Exit as Apptainer does."""
    (is_new, says_new), (is_mapped, says_mapped) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        if ctypes.CDLL(None, use_errno=True).unshare(NEW_USERS | NEW_MOUNTS):
            print(f"no namespace of users can be had: {os.strerror(ctypes.get_errno())}", file=sys.stderr)
            os._exit(125)
        os.write(says_new, b".")
        os.close(says_mapped)
        os.read(is_mapped, 1)
        places = [path.name for path in Path("/").iterdir() if path.is_dir() and not path.is_symlink()]
        os.environ["PLACES"] = " ".join(sorted(set(places) - set(OF_THE_ROOT)))
        os.execvp("bash", ["bash", "-euc", ENTER, root, *arguments])
    os.close(says_new)
    if os.read(is_new, 1):
        for kind in ("uid", "gid"):
            Path(f"/proc/{child}/{kind}_map").write_text("0 0 65536")
        os.write(says_mapped, b".")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main(*sys.argv[1:])
