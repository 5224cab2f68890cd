"""Networks that value states: their forward pass, once for serving in numpy and for learning in JAX."""
