"""In which order should tests run? Learned from what earlier cycles showed, and from nothing else."""
