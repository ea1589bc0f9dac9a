"""The heart of tfkd: the teacher, its stored answers, the `Distiller`, and the control."""
