"""Networks learn here, in JAX: what they learned is served elsewhere, from numpy, by the same forward pass."""
