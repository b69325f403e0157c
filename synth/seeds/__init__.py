"""Where samples start. `kg` draws evidence sets from a graph behind the reviewed tables."""
