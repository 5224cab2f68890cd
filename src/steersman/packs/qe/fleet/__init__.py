"""A fleet of quality agents at work on one project: what they see, what they find, and how their work is measured."""
