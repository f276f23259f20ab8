"""Calls that a guest makes with HVC and SMC: SMCCC, PSCI, TRNG."""
