"""XPath 1.0 with the functions of YANG 1.1, for filters beyond what `yang.query.xpath` makes a selection of.

An expression is evaluated on the XML that its user may read: `syntax` parses it, `filter` says which branches
of the tree it can touch, `document` is what these branches hold, `engine` and `functions` evaluate it within
a budget of work.
"""
