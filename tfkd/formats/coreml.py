"""What the two formats of Core ML have in common."""

from types import MappingProxyType

from tfkd.formats.base import AppCode
from tfkd.formats.families import COREML_FP16, COREML_FP32

FOLDER = "ios"
RECIPE_FIELD = "coreml"
TOLERANCES = MappingProxyType({COREML_FP32: 1e-4, COREML_FP16: 3e-2})  # of every precision
CODE = (
    AppCode("coreml", "coreml.swift.j2", "{type}Classifier.swift"),
    AppCode("coreml", "coreml_text.swift.j2", "{type}Classifier.swift", "text"),
    AppCode("coreml", "coreml_table.swift.j2", "{type}Classifier.swift", "table"),
    AppCode("tokenizer", "tokenizer.swift.j2", "{type}Tokenizer.swift", "text"),
    AppCode("counter", "counter.swift.j2", "{type}Counter.swift"),
    AppCode("counter", "counter.swift.j2", "{type}Counter.swift", "text"),
    AppCode("counter", "counter.swift.j2", "{type}Counter.swift", "table"),
)
LIBRARY = "coreml"
TAGS = ("coreml", "ios")
WRITER = "tfkd.writers.coreml:write"
CHECK = "tfkd.verification.coreml:check"
PREDICT = "tfkd.verification.coreml:predict"
