"""The heart of tfkd: the `Distiller`, its losses, taps and schedules."""
