"""Names of the teachers and assistants of a recipe."""


def numbered(kind: str, number: int) -> str:
    """Returns the name of number 0, 1, … of a kind: teacher, teacher-2, …"""
    return f"{kind}-{number + 1}" if number else kind


def number_of(name: str) -> int:
    """Returns the number in such a name, from 0."""
    return int(name.partition("-")[2] or 1) - 1


def kind_of(name: str) -> str:
    """Returns such a name without its number."""
    return name.partition("-")[0]
