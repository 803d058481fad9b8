"""Where raw transaction lines come from: files by glob, with an index of which file holds which days."""
