"""Texts: ids of word pieces, split by the rule of the phone."""
