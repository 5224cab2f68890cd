"""Record: rewards and transitions from what was measured."""
