"""The access node of the lab: what a DSLAM or OLT does with DHCP, as one process per node.

``dhcp`` and ``frames`` turn octets into values and back, ``relay`` decides (both without I/O), ``process``
moves packets between sockets. The kernel forwards everything else; ``guard`` holds the rules that keep
DHCP away from it.
"""
