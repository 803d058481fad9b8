"""What assets reach the world through: engine, sources, lake, model store."""
