"""Speed and memory, beside the official network (chapters 15 to 17)."""
