"""The paper's published numbers beside ours: slopes with a verdict each, figures, and the page of the documentation."""
