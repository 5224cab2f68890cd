"""Decide: guards narrow, the policy chooses."""
