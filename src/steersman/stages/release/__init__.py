"""Release: from a verdict to production, by steps, and back."""
