"""XPath 1.0 with the functions of YANG 1.1, for filters beyond what `yang.query.xpath` makes a selection of.

`syntax` parses an expression. Where its predicates look only at what is below their own node, `direct` makes
a selection of it all the same, whose conditions (`local`) are asked of the records (`record`) while they are
read. Any other is evaluated on the XML that its user may read: `filter` says which branches of the tree it
can touch, `document` is what these branches hold, `engine` and `functions` evaluate it within a budget of
work.
"""
