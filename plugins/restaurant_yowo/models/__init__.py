"""The plugin's networks."""
