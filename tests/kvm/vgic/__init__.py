"""KVM's VGIC."""
