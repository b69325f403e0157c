"""synth_reward: scorers. A leaf library: what checks found reaches it as data, never by import."""
