"""What the lecture derives, by hand in NumPy or plain torch: one idea a module."""
