"""Jobs for a cluster: scripts for SLURM, PBS, Torque and SGE as text, how they are submitted, and how cancelled."""
