"""One file a kind of volume; each opens it lazily as a `Volume`. `io.volumes.open_volume` chooses among them.

What all of them hold to: memory does not grow with Z, the time of a read does not depend on where it is, several
threads may read at once, and a file that is damaged or changes while it is read is refused with one message.
"""
