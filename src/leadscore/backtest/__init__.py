"""What a RetrainPolicy would have done: a labelled stream replayed with its label delay, beside simple rules."""
