"""KVM's own Interrupt Translation Service: software all of it (arch/arm64/kvm/vgic/vgic-its.c)."""
