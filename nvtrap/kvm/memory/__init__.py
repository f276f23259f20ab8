"""What a guest's memory accesses go through: stage 2, memory slots, VMIDs, TLBs."""
