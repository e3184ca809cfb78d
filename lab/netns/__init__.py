"""The runner that builds the lab in network namespaces of this machine: veth, bridges, no containers."""
