"""KVM's Interrupt Translation Service."""
