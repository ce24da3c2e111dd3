"""vidsuite: a plugin-based benchmark suite for video-analysis papers."""
