"""Findings beyond the paper: one module each, with its figure and the sentence that the records at hand support.

A sentence is made from the data of one machine and names it; where the records do not show a thing, there is none.
"""
