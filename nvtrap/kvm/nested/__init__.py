"""The nested machine: an L1 hypervisor and its L2 on the host that KVM is."""
