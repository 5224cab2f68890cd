"""The agents of the fleet, one file each: what they see, what they may do, what they are paid for, and how they act."""
