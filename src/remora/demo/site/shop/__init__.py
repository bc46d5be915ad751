"""A small shop: the app that the demo looks into.

It tells remora who is signed in, and knows nothing else of it. It is imported as
`shop`, from the folder above, as any app of yours would be.
"""
