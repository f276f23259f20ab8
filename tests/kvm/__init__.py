"""The L0 hypervisor."""
