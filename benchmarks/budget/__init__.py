"""Does the child keep its budget, and how good is it beside the best child within that budget?"""
