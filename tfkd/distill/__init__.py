"""The library: the `Distiller`, its losses, taps and schedules."""
