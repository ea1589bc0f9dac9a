"""The target `arm64`: files run under QEMU, their instructions counted."""
