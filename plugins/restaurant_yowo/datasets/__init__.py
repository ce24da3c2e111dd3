"""The plugin's datasets."""
