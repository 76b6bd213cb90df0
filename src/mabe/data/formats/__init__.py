"""Files as programs write them: of poses, of annotations, and the competition's tracking tables.

What a recording of the store is made from several of them is the business of `mabe.data.readers`.
"""
