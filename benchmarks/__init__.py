"""Speed and memory, beside the official network (chapter 13)."""
