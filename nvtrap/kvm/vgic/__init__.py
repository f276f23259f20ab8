"""KVM's in-kernel GIC of a virtual machine: what Linux 6.12 does in arch/arm64/kvm/vgic."""
