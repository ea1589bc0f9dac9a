"""Names of the teachers and assistants of a recipe, of which there may be several."""


def numbered(kind: str, number: int) -> str:
    """Returns the name of number 0, 1, … of a kind: teacher, teacher-2, …"""
    return f"{kind}-{number + 1}" if number else kind
