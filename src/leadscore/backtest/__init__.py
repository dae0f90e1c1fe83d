"""What a RetrainPolicy would have done.

A labelled stream replayed with its label delay, beside simple rules.
"""
